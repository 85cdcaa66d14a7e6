//! The help in Chinese: one line for each flag, by its id, and for each value that a flag may have.

use clap::Command;

mod values;

/// Puts the Chinese help in place. A test checks that no flag is left out.
pub(super) fn translate(command: Command) -> Command {
    let command = command
        .about("测量视觉语言模型服务的速度与正确性：精度测试、性能测试及各种负载，适用于任何 OpenAI chat 协议的服务端")
        .long_about(None)
        .after_help("参数可用 - 或 _：--image-path 与 --image_path 相同。")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(clap::Arg::new("help").short('h').long("help").action(clap::ArgAction::Help).help("显示帮助"))
        .arg(clap::Arg::new("version").short('V').long("version").action(clap::ArgAction::Version).help("显示版本"))
        .disable_help_subcommand(true);
    translate_arguments(command)
        .mut_subcommand("report", |report| {
            translate_arguments(with_help(report))
                .about("根据运行目录重新计算结果，不需要服务端；未给出的定义、时钟与上限沿用该运行的")
        })
        .mut_subcommand("compare", |compare| {
            translate_arguments(with_help(compare))
                .about("并排比较多次运行：各项数字及比值、回答从何处不同、提问有何不同")
        })
        .mut_subcommand("calibrate", |calibrate| {
            translate_arguments(with_help(calibrate)).about("在本机上用发送时间已知的脚本服务端测量本客户端自身的误差")
        })
        .mut_subcommand("scenes", |scenes| {
            translate_arguments(with_help(scenes))
                .about("绘制内容已知的道路施工图片，用于给服务端评分（--expect），或训练小模型")
        })
        .mut_subcommand("completions", |shell| translate_arguments(with_help(shell)).about("打印 shell 的补全脚本"))
        .mut_subcommand("man", |man| translate_arguments(with_help(man)).about("把 man 手册页写入目录"))
        .mut_subcommand("parse-log", |parse| {
            translate_arguments(with_help(parse)).about("把日志（本工具、原脚本、vllm bench serve、SGLang）转成 CSV")
        })
}

fn with_help(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .arg(clap::Arg::new("help").short('h').long("help").action(clap::ArgAction::Help).help("显示帮助"))
}

fn translate_arguments(command: Command) -> Command {
    command.mut_args(|arg| {
        let heading = arg.get_help_heading().and_then(|heading| find(HEADINGS, heading));
        let arg = match find(HELP, arg.get_id().as_str()) {
            Some(help) => arg.help(help).long_help(None),
            None => arg,
        };
        let arg = match heading {
            Some(heading) => arg.help_heading(heading),
            None => arg,
        };
        match values::of(arg.get_id().as_str()) {
            Some(values) => arg.value_parser(values),
            None => arg,
        }
    })
}

fn find(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(id, _)| *id == key).map(|(_, text)| *text)
}

const HEADINGS: &[(&str, &str)] = &[
    ("Images", "图像"),
    ("Prompt and model", "提示与模型"),
    ("Server", "服务端"),
    ("Load", "负载"),
    ("Limits", "时限"),
    ("Output", "输出"),
];

const HELP: &[(&str, &str)] = &[
    ("image_path", "每个请求使用的图片；可重复给出，一个请求含多张图"),
    ("image_dir", "图片目录；各请求取不同的图片，按 --seed 打乱"),
    ("recursive", "也查找 --image_dir 的子目录"),
    (
        "synthetic_image",
        "合成图片：noise:宽x高、gradient:宽x高、photo:宽x高 或 scenes:宽x高（绘制的道路施工画面）；可重复，请求轮流使用",
    ),
    ("no_image", "只发送文本"),
    ("images_per_request", "每个请求含多少张 --image_dir 或 --synthetic-image 的图片"),
    ("image_first", "图片在文本之前"),
    ("text_first", "文本在图片之前（默认，与原脚本相同）"),
    ("image_as", "图片的传送方式：放在请求内、服务端可读的路径、或由服务端获取的 URL（--image-url-prefix）"),
    ("image_url_prefix", "--image-as url 时文件名之前的部分"),
    ("max_image_bytes", "允许的最大图片文件，字节"),
    ("resize", "缩放到该尺寸并重新编码为 PNG；不给出则原样发送字节"),
    ("cold", "冷缓存：测量前不发送请求，每张图片都不同而 token 数相同"),
    ("image_proof", "验证图片确实到达模型：已计费，且换一张图答案会变"),
    ("expect", "给精度测试的回答评分：每行一个 JSON，含 \"image\"、\"prompt\" 与期望的 \"answer\" 或 \"facts\""),
    ("min_score", "至少要正确的比例，0 到 1；低于它时退出码为 4"),
    ("prompt", "每个请求的文本"),
    ("prompts", "提示文件：每行一条，或含 \"prompt\" 及可选 \"image\"、\"output_len\" 的 JSONL；轮流使用"),
    ("synthetic_prompt_tokens", "合成提示，恰为该 token 数，各不相同（需要分词器）"),
    ("model", "模型目录（分词器）；没有 --served-model-name 时也是请求中的模型名；为空则用服务端的模型"),
    ("served_model_name", "请求中的模型名"),
    ("tokenizer", "不同于 --model 的分词器：目录、tokenizer.json 或 hub id"),
    ("output_len", "回答的最大 token 数"),
    ("ignore_eos", "总是生成 --output_len 个 token；此时不打印回答"),
    ("max_tokens_field", "限制回答长度的字段名；较旧的分支只认识 max_tokens"),
    ("temperature", "采样温度"),
    ("extra_body", "加到每个请求中的字段，JSON 对象"),
    ("continuous_usage", "要求每个事件都带 usage，从而知道每个事件的 token 数（vLLM）"),
    ("host", "服务端主机"),
    ("port", "服务端端口"),
    ("base_url", "服务端 URL，代替主机和端口；其中的路径会保留"),
    ("embedded", "为本次运行启动程序自带的服务端：本机 CPU 上的小模型，只认识绘制的道路施工画面"),
    ("embedded_model", "与 --embedded 同用：另一个 Qwen2-VL 模型目录"),
    ("endpoint", "chat 接口的路径"),
    ("api_key", "以 \"Authorization: Bearer …\" 发送的密钥；不会写到任何地方"),
    ("header", "附加请求头 \"名称: 值\"；可重复"),
    ("cacert", "信任的证书颁发机构（PEM），代替系统的"),
    ("insecure", "不校验服务端证书"),
    ("profile", "测量前打开、测量后关闭服务端的 profiler（POST /start_profile、/stop_profile）"),
    ("batch_size", "同时在途的请求数，默认 1；没有 --num-prompts 时也是发送总数"),
    ("num_prompts", "请求总数"),
    ("max_concurrency", "最大在途请求数；使用 --request-rate 时不给出则不限"),
    ("request_rate", "按该速率（每秒请求数）发送，不管服务端快慢；inf 表示同时全部发送"),
    ("arrivals", "使用 --request-rate 时的到达间隔分布"),
    ("burstiness", "gamma 间隔的形状：1 为泊松，越小越突发，越大越均匀"),
    ("over_cap", "达到上限时到达的请求：等待（记录等待时间），或记录为未发送"),
    ("threads", "收发线程数，各自负责一部分请求；一个线程足以处理每秒数万个事件"),
    ("duration", "多少秒后停止发送（也可写 90s、5m、2h）"),
    ("warmup", "测量之前的轮数，不计入任何数字"),
    ("num_rounds", "测量轮数，合并成一个结果块"),
    ("seed", "打乱、到达与一切合成内容的种子"),
    ("connect_timeout", "建立连接的时限，秒"),
    ("first_token_timeout", "首个 token 的时限，秒"),
    ("idle_timeout", "首个 token 之后，多久没有任何数据算超时，秒"),
    ("total_timeout", "整个请求的时限，秒"),
    ("output_dir", "运行文件的目录；不给出则在用户状态目录下新建"),
    ("no_save", "不写任何文件"),
    ("detail", "运行文件对每个请求保留多少内容"),
    ("save_result", "同时写出 `vllm bench serve --save-result` 的 JSON"),
    ("bom", "CSV 带字节顺序标记，便于 Excel"),
    ("label", "本次运行的名称"),
    ("card", "提供服务的加速卡（记录用）"),
    ("driver", "驱动版本（记录用）"),
    ("definitions", "什么算 token：标准定义，或延续原 Python 脚本表格的旧定义"),
    ("clock", "事件采用哪个时间：内核接收时间，或程序自己的读取时间"),
    ("goodput", "合格请求的上限，毫秒：\"ttft:500 tpot:50 e2e:10000\""),
    ("slo", "整个运行的上限，\"指标:统计量:毫秒\"，例如 \"ttft:p99:500 tpot:mean:50\"；不满足时退出码为 4"),
    ("strict_client", "客户端不能确认自身数字的误差时，退出码为 5"),
    ("dry_run", "以 JSON 打印计划，不发送"),
    ("streams", "同时的流数，每个数一种情形；不给出则为常用情形，约一分钟"),
    ("interval_ms", "同一流中两个事件的间隔，毫秒；0 表示不间断"),
    ("tokens", "每个流的 token 事件数"),
    ("event_bytes", "把每个事件补足到该字节数"),
    ("image_mb", "每个请求带一张约该 MB 数的图片"),
    ("tls", "经过 TLS（加密连接）"),
    ("json", "以 JSON 打印"),
    ("lang", "提示与帮助的语言（zh 或 en）"),
    ("run", "运行目录，或其中的 run.jsonl（路径）"),
    ("compare_format", "打印什么：文本、JSON 或 CSV"),
    ("runs", "两次或更多运行的目录，或其中的 run.jsonl；各与第一次相比"),
    ("format", "打印什么：文本、结果块、JSON、CSV 或 vllm 的 JSON"),
    ("logs", "日志文件；- 为标准输入；给出多个时，最后一列为每行的文件"),
    ("answers", "输出回答（图片、回答）而不是数字"),
    ("folder", "写入的目录；其中不得已有场景"),
    ("count", "图片数"),
    ("first", "第一个场景的编号"),
    (
        "split",
        "用哪些场景：检验用（held-out）或训练用（training），两者永不相同；不给出时，--pool 用训练用场景，否则用检验用场景",
    ),
    ("size", "图片尺寸，宽x高"),
    ("brightness", "亮度倍数"),
    ("shift", "整幅画面向右、向下移动多少，以 1080x810 图片的像素计"),
    ("border", "移动后空出的部分用什么填充"),
    ("grain", "像相机那样，各图的亮度与噪点略有不同"),
    ("questions", "每张图片每种语言在 expect.jsonl 中写入多少个简短问题，另有一个描述"),
    ("pool", "改为写训练集：模型尺寸的图片，每个分片 4096 张"),
    ("flags", "增加一列，说明该块的特殊之处"),
    ("shell", "哪种 shell"),
    ("pages", "手册页所在的目录；不存在则新建"),
];
