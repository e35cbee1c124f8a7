//! The templates: the embedded ones, which a directory of the operator can override.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::numbers;
use super::words::{self, Words};
use crate::ledger::language::Language;

/// The embedded files, by name.
const EMBEDDED: [(&str, &str); 9] = [
    ("letter.txt", include_str!("../../templates/letter.txt")),
    ("letter.html", include_str!("../../templates/letter.html")),
    ("summary.txt", include_str!("../../templates/summary.txt")),
    ("summary.html", include_str!("../../templates/summary.html")),
    ("page.html", include_str!("../../templates/page.html")),
    ("notice.txt", include_str!("../../templates/notice.txt")),
    ("notice.html", include_str!("../../templates/notice.html")),
    ("words.en.toml", include_str!("../../templates/words.en.toml")),
    ("words.zh.toml", include_str!("../../templates/words.zh.toml")),
];

/// The files that a directory of templates may contain.
pub const TEMPLATE_NAMES: [&str; 9] = [
    "letter.txt",
    "letter.html",
    "summary.txt",
    "summary.html",
    "page.html",
    "notice.txt",
    "notice.html",
    "words.en.toml",
    "words.zh.toml",
];

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("template `{name}`")]
    Template {
        name: String,
        #[source]
        source: minijinja::Error,
    },
    #[error("words `{name}`")]
    Words {
        name: &'static str,
        #[source]
        source: toml::de::Error,
    },
    #[error("words `{name}`: there is no `{key}`")]
    NoSuchWord { name: &'static str, key: String },
    #[error("words `{name}`: `{key}` has no `{{{place}}}`")]
    NoSuchPlace { name: &'static str, key: String, place: String },
}

/// Parsed templates and words.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    english: Words,
    chinese: Words,
}

impl Templates {
    /// The embedded templates, overridden by `overrides` (name to content). Words that an override leaves out keep
    /// their embedded text.
    ///
    /// # Errors
    /// If one of `overrides` cannot be parsed.
    pub fn new(overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
        environment.add_filter("left", |text: String, columns: usize| text.clone() + &blanks(&text, columns));
        environment.add_filter("right", |text: String, columns: usize| blanks(&text, columns) + &text);
        for (name, embedded) in EMBEDDED.iter().filter(|(name, _)| !name.ends_with(".toml")) {
            let text = overrides.get(*name).map_or(*embedded, String::as_str);
            environment
                .add_template_owned(*name, text.to_owned())
                .map_err(|source| TemplateError::Template { name: (*name).to_owned(), source })?;
        }
        Ok(Self {
            environment,
            english: words_of(Language::English, overrides)?,
            chinese: words_of(Language::Chinese, overrides)?,
        })
    }

    /// The words of a language.
    pub(super) fn words(&self, language: Language) -> &Words {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }

    /// The source text of template `name`.
    pub(super) fn source(&self, name: &str) -> Result<String, TemplateError> {
        let failed = |source| TemplateError::Template { name: name.to_owned(), source };
        Ok(self.environment.get_template(name).map_err(failed)?.source().to_owned())
    }

    /// Renders template `name` with `view`; `t` in the template holds the words of `language`.
    pub(super) fn fill(&self, name: &str, language: Language, view: &impl Serialize) -> Result<String, TemplateError> {
        let failed = |source| TemplateError::Template { name: name.to_owned(), source };
        let words = self.words(language).clone();
        let t: BTreeMap<&String, String> = words.keys().map(|key| (key, words.say(key, &[]))).collect();
        let template = self.environment.get_template(name).map_err(failed)?;
        template.render(minijinja::context! { t => Value::from(Serde(&t)), ..Value::from(Serde(view)) }).map_err(failed)
    }
}

/// The spaces that pad `text` to `columns` of a terminal, on which a Chinese character takes two columns.
fn blanks(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(numbers::width(text)))
}

fn words_of(language: Language, overrides: &BTreeMap<String, String>) -> Result<Words, TemplateError> {
    let name = words::file_name(language);
    let embedded = EMBEDDED.iter().find(|(embedded, _)| *embedded == name).expect("both languages are embedded").1;
    let parse = |text| Words::parse(text).map_err(|source| TemplateError::Words { name, source });
    let embedded = parse(embedded)?;
    Ok(match overrides.get(name) {
        Some(text) => {
            let theirs = parse(text)?;
            theirs.check_against(&embedded).map_err(|(key, place)| match place {
                None => TemplateError::NoSuchWord { name, key },
                Some(place) => TemplateError::NoSuchPlace { name, key, place },
            })?;
            theirs.or(embedded)
        }
        None => embedded,
    })
}
