//! The texts of the letters by language, with placeholders such as `{name}`.

use std::collections::BTreeMap;

use crate::ledger::language::Language;

/// The words of one language.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    words: BTreeMap<String, String>,
}

impl Words {
    /// Parses a file of `key = "text"`.
    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { words: toml::from_str(text)? })
    }

    /// The text of `key` with its placeholders filled in; if it does not exist, the key itself, so that this is
    /// noticed.
    pub(super) fn say(&self, key: &str, values: &[(&str, String)]) -> String {
        let Some(text) = self.words.get(key) else { return format!("[{key}]") };
        let mut filled = String::with_capacity(text.len());
        let mut rest = text.as_str();
        // A single pass, so that braces in a value are left alone.
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match after
                .split_once('}')
                .and_then(|(name, after)| Some((values.iter().find(|(n, _)| *n == name)?, after)))
            {
                Some(((_, value), after)) => {
                    filled.push_str(value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.words.keys()
    }

    /// Checks that `other` has all of these words, each with all of its placeholders.
    ///
    /// # Errors
    /// The first word that `other` lacks, or the first placeholder that it lacks in that word.
    pub(super) fn check_against(&self, other: &Self) -> Result<(), (String, Option<String>)> {
        for (key, text) in &self.words {
            let known = other.words.get(key).ok_or_else(|| (key.clone(), None))?;
            let known: Vec<&str> = places(known).collect();
            if let Some(place) = places(text).find(|place| !known.contains(place)) {
                return Err((key.clone(), Some(place.to_owned())));
            }
        }
        Ok(())
    }

    /// These words, completed by those of `other`.
    #[must_use]
    pub(super) fn or(mut self, other: Self) -> Self {
        for (key, text) in other.words {
            self.words.entry(key).or_insert(text);
        }
        self
    }
}

/// The names of the placeholders.
fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(place, _)| place))
}

/// The file with the words of a language.
pub(super) fn file_name(language: Language) -> &'static str {
    match language {
        Language::English => "words.en.toml",
        Language::Chinese => "words.zh.toml",
    }
}

#[cfg(test)]
mod tests;
