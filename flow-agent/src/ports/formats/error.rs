//! Why a text is not valid in its format. Nothing of it is used then, and the last good list remains.

/// Why nothing of a port file can be used. Lines are counted from one.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("it ends in the middle, at line {line}: it is being written or was truncated")]
    Torn { line: usize },
    /// `8388` cut off after `83` still looks like a port, so only a line that ends with a line feed is complete.
    #[error("its last line has no line feed: it is being written or was truncated; end it with a line feed")]
    TornLine,
    #[error("it is empty: it is being written or was truncated; if it should have no ports, say so in a comment")]
    Empty,
    #[error("it is empty: it is being written or was truncated")]
    NoText,
    #[error("line {line} is not UTF-8")]
    NotUtf8 { line: usize },
    #[error("brackets are nested deeper than {most}")]
    TooDeep { most: usize },
    #[error("expected {expected}")]
    Json {
        expected: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("expected {expected}")]
    Json5 {
        expected: &'static str,
        #[source]
        source: json5::Error,
    },
    #[error("expected {expected}")]
    Toml {
        expected: &'static str,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("expected {expected}")]
    Yaml {
        expected: &'static str,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    #[error("expected {expected}, found {found}")]
    Shape { expected: &'static str, found: &'static str },
    #[error("none of its {rows} rows has a port: expected {expected}")]
    NoRowFits { rows: usize, expected: &'static str },
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: &'static str },
    #[error("this build cannot read it: it was built without the feature `{feature}`")]
    NotBuiltIn { feature: &'static str },
    #[cfg(feature = "sqlite")]
    #[error("it has {found} bytes but says that it has {expected}: it is being written or was truncated")]
    TornDatabase { expected: u64, found: u64 },
    #[cfg(feature = "sqlite")]
    #[error("the database cannot be read")]
    Sqlite(#[from] rusqlite::Error),
}
