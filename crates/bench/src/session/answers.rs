//! What an accuracy run prints on stdout: sizes and answers, each as it comes.

use super::{Session, print_out};
use crate::plan::ImageSource;
use measure::{Outcome, RequestRecord};

impl Session {
    /// One line for each image of the first request, as the script prints it: the size as stored. A folder's images
    /// print theirs with their answers.
    pub(super) fn print_image_sizes(&self) {
        for image in self.workload.measured.first().into_iter().flat_map(|item| &item.images) {
            if let (Some(facts), false) = (self.workload.images.get(*image as usize), self.answers_by_image()) {
                print_out(&format!("image size:  ({}, {})\n", facts.width, facts.height));
            }
        }
        for name in &self.workload.truncated {
            let caution = measure::Caution::ImageTruncated { name: name.clone() };
            self.view.say(format!("{}: {}", self.lang().pick("caution", "注意"), caution.text(self.lang())));
        }
    }

    /// Whether the accuracy run asks about each image of a folder.
    fn answers_by_image(&self) -> bool {
        matches!(self.plan.images, ImageSource::Folder { .. }) && !self.plan.ignore_eos && !self.plan.cold
    }

    /// Prints an accuracy answer, the `number`th from 1, at once: a run that is stopped later has said it.
    pub(super) fn print_answer(&self, record: &RequestRecord, number: usize) {
        let image = record.images.first().and_then(|image| self.workload.images.get(*image as usize));
        // A request that the run's end kept from being answered has no block.
        if matches!(record.outcome, Outcome::NotSent { .. } | Outcome::Cancelled) {
            return;
        }
        if let (Some(image), true) = (image, self.answers_by_image()) {
            print_out(&format!(
                "Processing: {number}/{}\nImage : {}\nimage size:  ({}, {})\n",
                self.workload.accuracy.len(),
                image.name,
                image.width,
                image.height
            ));
        }
        if record.outcome == Outcome::Complete {
            print_out(&format!("输出结果： {}\n", record.text.as_deref().unwrap_or_default()));
        } else if self.workload.accuracy.len() > 1 {
            // stdout and stderr may go to different places: the picture is named on both.
            let name = image.map(|image| format!("{}: ", image.name)).unwrap_or_default();
            self.view.say(format!("{name}{}: {}", record.outcome.name(), record.outcome.cause(self.lang())));
        }
    }

    /// A cold run sends nothing before its measured requests: the answer printed is one of theirs.
    pub(super) fn prints_a_measured_answer(&self) -> bool {
        self.plan.cold && !self.plan.ignore_eos
    }

    /// Prints that answer.
    pub(super) fn print_measured_answer(&self) {
        if !self.prints_a_measured_answer() {
            return;
        }
        if let Some(text) = &self.printed {
            print_out(&format!("输出结果： {text}\n"));
        }
    }
}
