//! PURE: the ports on which the `stream` servers of nginx listen.

use serde_json::Value;

use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed};

/// Reads `nginx.conf`, or a file that its `stream` block includes.
pub struct NginxStream;

impl Format for NginxStream {
    /// Reads the `server` blocks in `stream`, and those outside of any block, because a file that is included in
    /// `stream` consists of them.
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let text = tree::whole_lines(text)?;
        let mut listed = Listed::default();
        let mut blocks: Vec<String> = Vec::new();
        let mut server = Server::default();
        let mut words: Vec<String> = Vec::new();
        let mut line = 1;
        for token in tokens(text)? {
            line = token.line;
            match token.kind {
                Kind::Word(word) => words.push(word),
                Kind::Open => {
                    blocks.push(words.first().cloned().unwrap_or_default());
                    words.clear();
                }
                Kind::Close => {
                    let ended = blocks.pop().ok_or(FormatError::Syntax { line, message: "`}` without a `{`" })?;
                    if ended == "server" && is_stream(&blocks) {
                        std::mem::take(&mut server).add_to(&mut listed);
                    }
                }
                Kind::End => {
                    let directive = std::mem::take(&mut words);
                    match directive.as_slice() {
                        [listen, address, rest @ ..] if listen == "listen" && in_server(&blocks) => {
                            let is_udp = rest.iter().any(|word| word == "udp");
                            server.listens.push((line, address.clone(), is_udp));
                        }
                        [key, target, ..] if key == "proxy_pass" && in_server(&blocks) => {
                            server.target = Some(target.clone());
                        }
                        // Outside of any block, most includes are modules. A whole `stream` block must be included
                        // there, and its file is named after it.
                        [include, pattern, ..]
                            if include == "include"
                                && is_stream(&blocks)
                                && (!blocks.is_empty() || pattern.contains("stream")) =>
                        {
                            listed.complain(Complaint::Include { line, pattern: pattern.clone() });
                        }
                        _ => {}
                    }
                }
            }
        }
        match blocks.is_empty() && words.is_empty() {
            true => Ok(listed),
            false => Err(FormatError::Torn { line }),
        }
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        // Like `sites-enabled`, a folder `streams-enabled` usually has names without an ending.
        &["conf", "stream", ""]
    }
}

fn is_stream(blocks: &[String]) -> bool {
    matches!(blocks, []) || matches!(blocks, [stream] if stream == "stream")
}

fn in_server(blocks: &[String]) -> bool {
    matches!(blocks, [around @ .., server] if server == "server" && is_stream(around))
}

#[derive(Default)]
struct Server {
    /// For each `listen`: its line, its address, and whether it is for UDP.
    listens: Vec<(usize, String, bool)>,
    target: Option<String>,
}

impl Server {
    fn add_to(self, listed: &mut Listed) {
        let label = self.target.map(|target| format!("to {target}"));
        for (line, listen, _is_udp) in self.listens {
            let text = Value::String(listen);
            let (host, ports) = address::split(&text);
            if host.is_some_and(|host| super::is_loopback(host) || host.eq_ignore_ascii_case("unix")) {
                continue;
            }
            let claim = Claim { owner: None, detail: Detail { label: label.clone(), ..Detail::default() } };
            listed.add_ranges(&ListPosition::Line(line), address::ranges(ports), &claim);
        }
    }
}

enum Kind {
    Word(String),
    Open,
    Close,
    End,
}

struct Token {
    line: usize,
    kind: Kind,
}

/// Splits the text as nginx does into words, braces and semicolons, with quotes, backslashes and comments.
fn tokens(text: &str) -> Result<Vec<Token>, FormatError> {
    let (mut tokens, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let (mut line, mut quote) = (1, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let mut end_word = |tokens: &mut Vec<Token>, is_word: &mut bool| {
            if std::mem::take(is_word) {
                tokens.push(Token { line, kind: Kind::Word(std::mem::take(&mut word)) });
            }
        };
        match (quote, character) {
            (Some(open), character) if open == character => quote = None,
            (_, '\\') => {
                word.extend(characters.next());
                is_word = true;
            }
            (Some(_), character) => word.push(character),
            (None, '"' | '\'') if !is_word => {
                quote = Some(character);
                is_word = true;
            }
            (None, '#') if !is_word => {
                characters.by_ref().find(|character| *character == '\n');
                line += 1;
                continue;
            }
            (None, '{' | '}' | ';') => {
                end_word(&mut tokens, &mut is_word);
                let kind = match character {
                    '{' => Kind::Open,
                    '}' => Kind::Close,
                    _ => Kind::End,
                };
                tokens.push(Token { line, kind });
            }
            (None, character) if character.is_whitespace() => end_word(&mut tokens, &mut is_word),
            (None, character) => {
                word.push(character);
                is_word = true;
            }
        }
        line += usize::from(character == '\n');
    }
    if quote.is_some() {
        return Err(FormatError::Torn { line });
    }
    if is_word {
        tokens.push(Token { line, kind: Kind::Word(word) });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests;
