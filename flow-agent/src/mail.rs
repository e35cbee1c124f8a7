//! EDGE smtp: composes letters and hands them to the mail server, so that every user gets exactly one.

mod compose;
mod error;
mod reply;
mod settings;
mod smtp;

use std::future::Future;

pub use compose::{Header, Letter, LetterAttachment, LetterContent, compose, message_id};
pub use error::{ComposeError, Delivery, MailerError, Refusal, Scope};
pub use settings::{MailConfig, MailSecurity, MailServer};
pub use smtp::{SmtpMailer, SmtpTiming};

/// Hands letters to a mail server in two steps. Between them the caller writes to its mail ledger, so that after a
/// crash it is known which letter may have been sent.
pub trait Mailer {
    /// Announces the sender and the recipients, up to the server's permission to send the letter. The server has
    /// accepted nothing yet.
    fn offer(&mut self, letter: &Letter) -> impl Future<Output = Result<(), Refusal>>;

    /// Sends the letter that was offered last. If the connection is lost from here on, it is not known whether the
    /// server accepted the letter.
    fn deliver(&mut self, letter: &Letter) -> impl Future<Output = Delivery>;

    /// Ends the connection; an offer without delivery is withdrawn.
    fn leave(&mut self) -> impl Future<Output = ()>;
}
