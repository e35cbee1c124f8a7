//! EDGE smtp: composes letters, and hands them to the mail server so that nobody gets two and nobody none.

mod compose;
mod error;
mod reply;
mod settings;
mod smtp;

use std::future::Future;

pub use compose::{Attachment, Content, Header, Letter, compose, message_id};
pub use error::{ComposeError, Delivery, MailerError, Refusal, Scope};
pub use settings::{MailConfig, MailSecurity, MailServer};
pub use smtp::{SmtpMailer, Timing};

/// Hands letters to whoever delivers them, in two steps: what lies between them, the sender's own ledger, decides what
/// is known after a crash.
pub trait Mailer {
    /// Says from whom and to whom, and asks leave to send the letter itself. Nothing is accepted by it.
    fn offer(&mut self, letter: &Letter) -> impl Future<Output = Result<(), Refusal>>;

    /// Sends the letter that was offered last. From here on a lost connection means that nobody can tell whether it was
    /// accepted.
    fn deliver(&mut self, letter: &Letter) -> impl Future<Output = Delivery>;

    /// Takes leave, or takes back an offer.
    fn leave(&mut self) -> impl Future<Output = ()>;
}
