//! PURE: turns the main node's public key into its line for sshd.

/// Why a key, or the address from which it is to be accepted, is rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this is a private key, which must stay on the main node")]
    Private,
    #[error("there is no public key in it")]
    Absent,
    #[error("there is more than one key in it")]
    Several,
    #[error("a public key does not begin with {word:?}")]
    Kind { word: String },
    #[error("{from:?} is not a list of addresses")]
    From { from: String },
}

/// The line that admits the only key in `text`, the content of a file such as `id_ed25519.pub`, from the addresses
/// `from`.
///
/// # Errors
/// When `text` is anything but one public key, or when `from` could end the option in which it is inserted.
pub fn admit(text: &str, from: Option<&str>) -> Result<String, KeyError> {
    if text.contains("PRIVATE KEY") {
        return Err(KeyError::Private);
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or(KeyError::Absent)?;
    if lines.next().is_some() {
        return Err(KeyError::Several);
    }
    let mut words = line.split_whitespace();
    let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_kind = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| kind.starts_with(prefix));
    if !is_kind || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte)) {
        return Err(KeyError::Kind { word: kind.to_owned() });
    }
    if !blob.starts_with("AAAA") || !blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
        return Err(KeyError::Kind { word: format!("{kind} {blob}") });
    }
    let from = from.map_or(Ok(String::new()), |from| {
        let is_list =
            !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:,/*?!-_".contains(&byte));
        if is_list { Ok(format!(",from=\"{from}\"")) } else { Err(KeyError::From { from: from.to_owned() }) }
    })?;
    // The comment only tells people whose key it is.
    let comment: String = words.next().unwrap_or_default().chars().filter(char::is_ascii_graphic).take(64).collect();
    Ok(format!("restrict{from} {kind} {blob} {comment}").trim_end().to_owned())
}

#[cfg(test)]
mod tests;
