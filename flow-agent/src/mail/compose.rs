//! PURE: a letter as it goes over the wire (RFC 5322), the same bytes for the same content.

use std::time::SystemTime;

use chrono::{DateTime, FixedOffset};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, MultiPartBuilder, MultiPartKind, SinglePart};
use lettre::{Address, Message};

use super::error::ComposeError;
use crate::ledger::month::Month;
use crate::ledger::seal::sha256_hex;

/// From whom, to whom.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// `Name <address>` or an address.
    pub from: &'a str,
    pub to: &'a [String],
    pub message_id: &'a str,
    /// The `Message-ID` of the first letter on the same matter, if this one corrects or repeats it: mail programs show
    /// both as one conversation.
    pub reply_to_id: Option<&'a str>,
    /// As RFC 5646 names it; of a letter in several: none.
    pub language: Option<&'a str>,
    pub at: DateTime<FixedOffset>,
}

/// What it says. All of it is text: a body of bytes could end the letter early.
#[derive(Clone, Debug)]
pub struct LetterContent {
    pub subject: String,
    pub text: String,
    pub html: String,
    pub attachments: Vec<LetterAttachment>,
}

/// A file that goes with a letter.
#[derive(Clone, Debug)]
pub struct LetterAttachment {
    pub name: String,
    /// `text/csv`
    pub media_type: &'static str,
    pub text: String,
}

/// A letter, ready to be handed over.
#[derive(Clone, Debug)]
pub struct Letter {
    pub from: Address,
    pub to: Vec<Address>,
    pub message_id: String,
    /// Lines end in CR LF; ASCII throughout.
    pub bytes: Vec<u8>,
}

/// The same for the same month, user and revision on the same node, and for nothing else: a mail system that sees a
/// letter twice can tell. `user` is `None` for the summary; the right side is that of the sender's address.
pub fn message_id(node: &str, from: &str, month: Month, user: Option<&str>, rev: u32) -> String {
    let whose = match user {
        Some(user) => format!("user\0{user}"),
        None => "summary".to_owned(),
    };
    let hash = &sha256_hex(format!("{node}\0{whose}").as_bytes())[..32];
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    format!("<flow-agent.{month}.r{rev}.{hash}@{domain}>")
}

/// Puts a letter together.
///
/// # Errors
/// When an address is none; the configuration refuses those before.
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
mod tests {
    use super::*;

    fn content() -> LetterContent {
        LetterContent {
            subject: "2026年10月 流量".to_owned(),
            text: "你好, Ängström\n.\nQUIT\n".to_owned(),
            html: "<p>你好</p>".to_owned(),
            attachments: vec![LetterAttachment {
                name: "users.csv".to_owned(),
                media_type: "text/csv",
                text: "用户,bytes\nalice,1\n".to_owned(),
            }],
        }
    }

    fn header(to: &[String]) -> Header<'_> {
        let at = DateTime::parse_from_rfc3339("2026-11-01T00:11:00+08:00").unwrap();
        Header {
            from: "Flow Agent <report@example.com>",
            to,
            message_id: "<x@example.com>",
            reply_to_id: None,
            language: None,
            at,
        }
    }

    #[test]
    fn the_same_content_is_the_same_letter_and_plain_ascii() {
        let to = ["alice@example.com".to_owned()];
        let letter = compose(&header(&to), &content()).unwrap();
        assert_eq!(letter.bytes, compose(&header(&to), &content()).unwrap().bytes);
        assert!(letter.bytes.is_ascii());
        let text = String::from_utf8(letter.bytes).unwrap();
        assert!(text.contains("Date: Sat, 31 Oct 2026 16:11:00 +0000\r\n"), "{text}");
        assert!(text.contains("Message-ID: <x@example.com>\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends in CR LF");
    }

    #[test]
    fn a_message_id_is_one_of_month_user_and_revision() {
        let id = |node, month: &str, user, rev| {
            message_id(node, "Flow Agent <report@example.com>", month.parse().unwrap(), user, rev)
        };
        let first = id("main", "2026-10", Some("alice"), 0);
        assert_eq!(first, id("main", "2026-10", Some("alice"), 0));
        assert!(first.starts_with("<flow-agent.2026-10.r0.") && first.ends_with("@example.com>"), "{first}");
        let others = [
            id("main", "2026-10", Some("alice"), 1),
            id("main", "2026-11", Some("alice"), 0),
            id("main", "2026-10", Some("bob"), 0),
            id("main", "2026-10", Some("summary"), 0),
            id("main", "2026-10", None, 0),
            id("other", "2026-10", Some("alice"), 0),
        ];
        for other in &others {
            assert_ne!(*other, first);
        }
        assert_ne!(others[3], others[4]);
    }

    #[test]
    fn a_correction_names_the_first_letter() {
        let to = ["alice@example.com".to_owned()];
        let text = |reply_to_id| {
            let letter = compose(&Header { reply_to_id, ..header(&to) }, &content()).unwrap();
            String::from_utf8(letter.bytes).unwrap()
        };
        let correction = text(Some("<first@example.com>"));
        for line in ["In-Reply-To: <first@example.com>\r\n", "References: <first@example.com>\r\n"] {
            assert!(correction.contains(line), "{correction}");
        }
        let first = text(None);
        assert!(!first.contains("In-Reply-To") && !first.contains("References"), "{first}");
    }

    #[test]
    fn a_letter_needs_a_recipient() {
        assert!(compose(&header(&[]), &content()).is_err());
        assert!(matches!(
            compose(&header(&["not an address".to_owned()]), &content()),
            Err(ComposeError::Address { .. })
        ));
    }
}
