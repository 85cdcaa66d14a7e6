//! The questions of the image proof, asked after the load.

use super::{Failure, Session};
use crate::proof;
use measure::{ImageProof, Lang, Phase};

impl Session {
    /// Asks whether the picture reached the model: by the first prompt, and, where its answer is the same whatever is on the
    /// picture, by a question about the whole picture.
    pub(super) fn prove_image(&mut self) -> Result<(), Failure> {
        if !self.plan.image_proof || self.stop.cause().is_some() {
            return Ok(());
        }
        let Some(item) = self.workload.measured.first().cloned() else { return Ok(()) };
        let expected = self.header.expected_tokens(&item.images);
        let mut proof = self.proof_by(item.prompt, &item.images, expected)?;
        if proof.effect == Some(false)
            && let Some(number) = self.workload.proof_question
        {
            let other = self.proof_by(number, &item.images, expected)?;
            // The prompt's answers stay where the other question's are incomplete.
            if other.effect.is_some() {
                proof = ImageProof { question: Some(self.workload.prompt(number).to_owned()), ..other };
            }
        }
        self.proof = Some(proof);
        Ok(())
    }

    /// The four questions with one prompt.
    fn proof_by(&mut self, number: u32, images: &[u32], expected: Option<u64>) -> Result<ImageProof, Failure> {
        let pictures = self.workload.proof.len() as u64;
        for with_logprobs in [true, false] {
            let prompt = self.workload.prompt(number);
            let asked = proof::Asked { number, prompt, images, pictures: &self.workload.proof };
            let items = match proof::questions(&self.plan, &self.model, &asked, with_logprobs) {
                Ok(items) => items,
                Err(error) => {
                    // A picture that only the server can read proves nothing, and what was measured stands.
                    let caution = self.lang().pick("caution", "注意");
                    self.view.say(format!("{caution}: {}", error.text(self.lang() == Lang::Zh)));
                    break;
                }
            };
            let (count, from) = (items.len() as u64, self.next_index);
            self.round(self.job(Phase::Proof, items, 0, 0, Some(count), Some(1)))?;
            let answers = self.records.apart_from_load(from);
            let refused = answers.iter().any(|record| matches!(record.status, Some(400 | 422)));
            if with_logprobs && refused {
                self.view.say(self.lang().pick(
                    "image proof: the server refuses logprobs; asking again without",
                    "图像验证：服务端不支持 logprobs，改为不使用",
                ));
                continue;
            }
            return Ok(proof::judge(&answers, pictures, expected));
        }
        Ok(proof::judge(&[], pictures, expected))
    }
}
