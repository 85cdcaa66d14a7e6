//! A request that is refused, in vLLM's words where vLLM refuses it too. It must not know HTTP statuses: the caller
//! maps a [`RefusalKind`] to one.

use std::fmt;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of thing is wrong.
    pub kind: RefusalKind,
    /// What was given and what is allowed.
    pub message: String,
    /// The request's field (`param` of the error body), if one is to blame.
    pub parameter: Option<&'static str>,
    /// The refused value as Python would print it, if vLLM says it.
    pub value: Option<String>,
}

/// Kinds of refusals. All but the last two are the client's (400); a full queue is 429, a server that ends 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// A sampling parameter is out of its range.
    Sampling,
    /// The prompt, or prompt and answer, are longer than the context.
    ContextLength,
    /// A message or a part of one cannot be used.
    Content,
    /// The chat template refused the messages.
    Template,
    /// Something that vLLM can do and this server cannot.
    Unsupported,
    /// The waiting queue is full.
    QueueFull,
    /// The server is ending and takes nothing new.
    Ending,
}

impl Refusal {
    /// A refusal that names no field.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), parameter: None, value: None }
    }

    /// The same refusal, naming the field to blame.
    #[must_use]
    pub fn of(mut self, parameter: &'static str) -> Self {
        self.parameter = Some(parameter);
        self
    }

    /// The same refusal, naming the value too.
    #[must_use]
    pub fn given(mut self, value: impl fmt::Display) -> Self {
        self.value = Some(value.to_string());
        self
    }
}

impl fmt::Display for Refusal {
    /// vLLM's form: the message, then `(parameter=…, value=…)` with what is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (self.parameter, &self.value) {
            (None, None) => Ok(()),
            (Some(parameter), None) => write!(f, " (parameter={parameter})"),
            (None, Some(value)) => write!(f, " (value={value})"),
            (Some(parameter), Some(value)) => write!(f, " (parameter={parameter}, value={value})"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_vllm_writes_it() {
        let plain = Refusal::new(RefusalKind::Sampling, "no");
        assert_eq!(plain.to_string(), "no");
        assert_eq!(plain.clone().of("seed").to_string(), "no (parameter=seed)");
        assert_eq!(plain.clone().given(1).to_string(), "no (value=1)");
        assert_eq!(plain.of("seed").given("-1.0").to_string(), "no (parameter=seed, value=-1.0)");
    }
}
