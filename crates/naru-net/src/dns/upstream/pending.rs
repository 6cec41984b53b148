//! What is being asked for one container: how much, and each question once.
//!
//! Clients that ask the same at the same time get the same answer. A name server that asks back what it is asked for, as
//! one in a container does that stands behind the host's settings and has naru behind it, waits for itself then instead
//! of asking without end; and who forges answers has one question to guess and not many (RFC 5452, 5).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

/// What becomes of a question: nothing yet, or an answer, or that there is none.
type Outcome = Option<Option<Vec<u8>>>;

/// One container's questions.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Servers that are being asked.
    pub(super) asking: AtomicUsize,
    /// By all of a packet but its id.
    questions: Mutex<HashMap<Vec<u8>, watch::Receiver<Outcome>>>,
}

/// Whose turn it is to ask.
pub(super) enum Turn<'a> {
    Own(Asking<'a>),
    /// Somebody else asks already.
    Other(watch::Receiver<Outcome>),
}

/// The right to ask a question, and the duty to tell what came of it. Given up, others ask themselves.
pub(super) struct Asking<'a> {
    pending: &'a Pending,
    question: Vec<u8>,
    others: watch::Sender<Outcome>,
}

impl Pending {
    pub(super) fn turn(&self, packet: &[u8]) -> Turn<'_> {
        const ID: usize = 2;
        let question = packet.get(ID..).unwrap_or_default().to_vec();
        let mut all = super::lock(&self.questions);
        if let Some(asked) = all.get(&question) {
            return Turn::Other(asked.clone());
        }
        let (others, asked) = watch::channel(None);
        all.insert(question.clone(), asked);
        Turn::Own(Asking { pending: self, question, others })
    }
}

impl Asking<'_> {
    pub(super) fn tell(self, answer: Option<&Vec<u8>>) {
        self.others.send_replace(Some(answer.cloned()));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        super::lock(&self.pending.questions).remove(&self.question);
    }
}
