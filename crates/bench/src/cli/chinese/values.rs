//! What the values of a flag mean, in Chinese. Of a value without Chinese the compiler tells, of a flag a test.

use crate::cli::subcommands::{BorderArg, CompareFormat, ReportFormat, SplitArg};
use crate::cli::values::{Arrivals, ClockArg, DefinitionsArg, DetailArg, ImageAs, LangArg, MaxTokensField, OverCap};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};

/// The values of the flag with this id, with their Chinese help; `None` for a flag whose values are not listed.
pub(super) fn of(id: &str) -> Option<ValueParser> {
    Some(match id {
        "image_as" => listed::<ImageAs>(),
        "max_tokens_field" => listed::<MaxTokensField>(),
        "arrivals" => listed::<Arrivals>(),
        "over_cap" => listed::<OverCap>(),
        "detail" => listed::<DetailArg>(),
        "definitions" => listed::<DefinitionsArg>(),
        "clock" => listed::<ClockArg>(),
        "lang" => listed::<LangArg>(),
        "compare_format" => listed::<CompareFormat>(),
        "format" => listed::<ReportFormat>(),
        "split" => listed::<SplitArg>(),
        "border" => listed::<BorderArg>(),
        _ => return None,
    })
}

fn listed<T: Chinese + Send + Sync + 'static>() -> ValueParser {
    let values = T::value_variants().iter().filter_map(|value| Some(value.to_possible_value()?.help(value.help())));
    PossibleValuesParser::new(values).try_map(|word| T::from_str(&word, false)).into()
}

trait Chinese: ValueEnum {
    fn help(&self) -> &'static str;
}

impl Chinese for ImageAs {
    fn help(&self) -> &'static str {
        match self {
            Self::Base64 => "请求内的 data URL",
            Self::FileUrl => "文件绝对路径的 file:// URL",
            Self::Url => "由服务端获取的 URL",
        }
    }
}

impl Chinese for MaxTokensField {
    fn help(&self) -> &'static str {
        match self {
            Self::MaxTokens => "较旧的名称，各处都认识",
            Self::MaxCompletionTokens => "OpenAI 较新的名称",
        }
    }
}

impl Chinese for Arrivals {
    fn help(&self) -> &'static str {
        match self {
            Self::Poisson => "随机、相互独立（有 --burstiness 时为 gamma 间隔）",
            Self::Constant => "均匀",
        }
    }
}

impl Chinese for OverCap {
    fn help(&self) -> &'static str {
        match self {
            Self::Wait => "等待",
            Self::Drop => "记录为未发送",
        }
    }
}

impl Chinese for DetailArg {
    fn help(&self) -> &'static str {
        match self {
            Self::Summary => "界定数字的事件，以及用于打印、评分或计数的回答",
            Self::Stamps => "每个事件的时间、种类与大小，回答同上",
            Self::Text => "每个事件与每个回答",
        }
    }
}

impl Chinese for DefinitionsArg {
    fn help(&self) -> &'static str {
        match self {
            Self::Standard => "标准定义",
            Self::Vllm => "旧定义",
        }
    }
}

impl Chinese for ClockArg {
    fn help(&self) -> &'static str {
        match self {
            Self::Kernel => "内核的接收时间",
            Self::User => "程序自己的读取时间",
        }
    }
}

impl Chinese for LangArg {
    fn help(&self) -> &'static str {
        match self {
            Self::En => "英文",
            Self::Zh => "中文",
        }
    }
}

impl Chinese for ReportFormat {
    fn help(&self) -> &'static str {
        match self {
            Self::Text => "结果块及其下的全部内容",
            Self::Block => "只有结果块",
            Self::Json => "summary.json 的内容",
            Self::Csv => "requests.csv 的内容",
            Self::Vllm => "vllm bench serve 的 JSON",
        }
    }
}

impl Chinese for CompareFormat {
    fn help(&self) -> &'static str {
        match self {
            Self::Text => "各次运行、数字、回答与注意事项",
            Self::Json => "以上全部，JSON 格式",
            Self::Csv => "数字，CSV 格式",
        }
    }
}

impl Chinese for SplitArg {
    fn help(&self) -> &'static str {
        match self {
            Self::HeldOut => "检验用",
            Self::Training => "训练用",
        }
    }
}

impl Chinese for BorderArg {
    fn help(&self) -> &'static str {
        match self {
            Self::Black => "黑色",
            Self::Edge => "重复最外侧的像素",
        }
    }
}
