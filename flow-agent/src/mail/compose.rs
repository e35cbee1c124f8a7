//! PURE: composes a letter as it is transmitted (RFC 5322). The same content always gives the same bytes.

use std::time::SystemTime;

use chrono::{DateTime, FixedOffset};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, MultiPartBuilder, MultiPartKind, SinglePart};
use lettre::{Address, Message};

use super::error::ComposeError;
use crate::ledger::month::Month;
use crate::ledger::seal::sha256_hex;

/// The header fields of a letter.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// `Name <address>` or an address.
    pub from: &'a str,
    pub to: &'a [String],
    pub message_id: &'a str,
    /// The `Message-ID` of the first letter on the same matter, if this one corrects or repeats it, so that mail
    /// programs show both in one conversation.
    pub reply_to_id: Option<&'a str>,
    /// A language tag of RFC 5646; `None` if the letter is in several languages.
    pub language: Option<&'a str>,
    pub at: DateTime<FixedOffset>,
}

/// The content of a letter. All of it is text, because a body of arbitrary bytes could end the letter early.
#[derive(Clone, Debug)]
pub struct LetterContent {
    pub subject: String,
    pub text: String,
    pub html: String,
    pub attachments: Vec<LetterAttachment>,
}

/// A file attached to a letter.
#[derive(Clone, Debug)]
pub struct LetterAttachment {
    pub name: String,
    /// For example `text/csv`.
    pub media_type: &'static str,
    pub text: String,
}

/// A complete letter.
#[derive(Clone, Debug)]
pub struct Letter {
    pub from: Address,
    pub to: Vec<Address>,
    pub message_id: String,
    /// The whole letter in ASCII, with lines that end in CR LF.
    pub bytes: Vec<u8>,
}

/// The `Message-ID` of a letter. It is the same for the same month, user and revision on the same node, and for nothing
/// else, so that mail systems can recognize duplicates. `user` is `None` for the summary. The part after the @ is that
/// of the sender's address.
pub fn message_id(node: &str, from: &str, month: Month, user: Option<&str>, rev: u32) -> String {
    let whose = match user {
        Some(user) => format!("user\0{user}"),
        None => "summary".to_owned(),
    };
    let hash = &sha256_hex(format!("{node}\0{whose}").as_bytes())[..32];
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    format!("<flow-agent.{month}.r{rev}.{hash}@{domain}>")
}

/// Composes a letter.
///
/// # Errors
/// When an address is not valid, which the configuration rejects beforehand.
pub fn compose(header: &Header<'_>, content: &LetterContent) -> Result<Letter, ComposeError> {
    let from: Mailbox = header.from.parse().map_err(|source| address_error(header.from, source))?;
    let to = header.to.iter().map(|text| text.parse::<Mailbox>().map_err(|source| address_error(text, source)));
    let to = to.collect::<Result<Vec<_>, _>>()?;
    let boundary = |part: &str| sha256_hex(format!("{part}{}", header.message_id).as_bytes())[..32].to_owned();
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(&content.subject)
        .date(SystemTime::from(header.at))
        .message_id(Some(header.message_id.to_owned()))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    if let Some(language) = header.language {
        let name = HeaderName::new_from_ascii_str("Content-Language");
        builder = builder.raw_header(HeaderValue::new(name, language.to_owned()));
    }
    if let Some(id) = header.reply_to_id {
        builder = builder.in_reply_to(id.to_owned()).references(id.to_owned());
    }
    for mailbox in &to {
        builder = builder.to(mailbox.clone());
    }
    let alternative = alternative(&boundary("alternative"))
        .singlepart(SinglePart::plain(content.text.clone()))
        .singlepart(SinglePart::html(content.html.clone()));
    let body = content.attachments.iter().fold(None, |body: Option<MultiPart>, attachment| {
        let body = body.unwrap_or_else(|| mixed(&boundary("mixed")).multipart(alternative.clone()));
        let media_type = ContentType::parse(&format!("{}; charset=utf-8", attachment.media_type))
            .expect("media types are ours, and are ones");
        Some(body.singlepart(Part::new(attachment.name.clone()).body(attachment.text.clone(), media_type)))
    });
    let message = builder.multipart(body.unwrap_or(alternative)).map_err(ComposeError::Message)?;
    if to.is_empty() {
        return Err(ComposeError::NoRecipient);
    }
    Ok(Letter {
        from: from.email,
        to: to.into_iter().map(|mailbox| mailbox.email).collect(),
        message_id: header.message_id.to_owned(),
        bytes: message.formatted(),
    })
}

fn alternative(boundary: &str) -> MultiPartBuilder {
    MultiPart::builder().kind(MultiPartKind::Alternative).boundary(boundary)
}

fn mixed(boundary: &str) -> MultiPartBuilder {
    MultiPart::builder().kind(MultiPartKind::Mixed).boundary(boundary)
}

fn address_error(address: &str, source: lettre::address::AddressError) -> ComposeError {
    ComposeError::Address { address: address.to_owned(), source }
}

#[cfg(test)]
mod tests;
