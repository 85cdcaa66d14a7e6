//! Flags that do not go together.

use super::{ImageSource, Plan, PlanError, PromptSource, words};
use crate::cli::ImageAs;

impl Plan {
    /// Refuses what cannot be done together.
    pub(super) fn check_together(&self) -> Result<(), PlanError> {
        let refuse = |en: &str, zh: &str| Err(PlanError::Combination(words(en, zh)));
        let from_files = matches!(self.images, ImageSource::Files(_) | ImageSource::Folder { .. });
        if self.image_as != ImageAs::Base64 && (!from_files || self.resize.is_some() || self.cold) {
            return refuse(
                "--image-as file-url and url send files as they are: they need --image_path or --image_dir, and exclude --resize and --cold",
                "--image-as file-url 与 url 原样发送文件：需要 --image_path 或 --image_dir，且不能与 --resize、--cold 同用",
            );
        }
        if self.image_proof && !self.has_images() {
            return refuse(
                "--image-proof needs an image: give --image_path, --image_dir or --synthetic-image",
                "--image-proof 需要图片：请给出 --image_path、--image_dir 或 --synthetic-image",
            );
        }
        if self.image_proof && self.image_as != ImageAs::Base64 {
            return refuse(
                "--image-proof sends an altered image, which only --image-as base64 can",
                "--image-proof 要发送修改过的图片，只有 --image-as base64 可以",
            );
        }
        if self.expect.is_some() && (self.cold || self.ignore_eos) {
            return refuse(
                "--expect grades the answers of the accuracy run, which --cold and --ignore-eos leave out: give one or the other",
                "--expect 对精度测试的回答评分，而 --cold 与 --ignore-eos 不做精度测试：只能给出其一",
            );
        }
        if self.cold && self.requests.is_none() {
            return refuse(
                "--cold makes every image before the run begins, so it needs --num-prompts beside --duration",
                "--cold 在测试开始前生成所有图片，与 --duration 同用时需要 --num-prompts",
            );
        }
        let prompts_differ = matches!(self.prompts, PromptSource::Synthetic(_) | PromptSource::File(_));
        if self.cold && !self.has_images() && !prompts_differ {
            return refuse(
                "--cold without images needs prompts that differ: --synthetic-prompt-tokens or --prompts",
                "没有图片时 --cold 需要各不相同的提示：--synthetic-prompt-tokens 或 --prompts",
            );
        }
        if self.requests.is_none() && matches!(self.prompts, PromptSource::Synthetic(_)) {
            return refuse(
                "--synthetic-prompt-tokens makes every prompt before the run begins, so it needs --num-prompts beside --duration",
                "--synthetic-prompt-tokens 在测试开始前生成所有提示，与 --duration 同用时需要 --num-prompts",
            );
        }
        Ok(())
    }
}
