//! PURE: formats a mail server's reply on one line, safe to print and to store.

use std::error::Error as _;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

use crate::ledger::name;

/// The longest reply that is kept, in characters.
const MAX_CHARS: usize = 300;

/// `250 2.0.0 9f3c Message accepted for delivery`
pub(super) fn of_response(response: &Response) -> String {
    let lines = response.message().collect::<Vec<_>>().join(" ");
    in_one_line(&format!("{} {lines}", response.code()))
}

/// `550 5.1.1 no such user`, or a description of what happened to the connection.
pub(super) fn of_error(error: &Error) -> String {
    let mut words = match error.status() {
        Some(code) => code.to_string(),
        None => String::new(),
    };
    let mut cause = error.source();
    if cause.is_none() && words.is_empty() {
        words = error.to_string();
    }
    while let Some(error) = cause {
        if !words.is_empty() {
            words.push_str(if words.len() == 3 { " " } else { ": " });
        }
        words.push_str(&error.to_string());
        cause = error.source();
    }
    in_one_line(&words)
}

pub(super) fn in_one_line(words: &str) -> String {
    let harmless = |c: char| if name::hidden(c.encode_utf8(&mut [0; 4])).is_some() { ' ' } else { c };
    let words: String = words.chars().map(harmless).take(MAX_CHARS).collect();
    words.trim().to_owned()
}
