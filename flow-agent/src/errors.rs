//! How an error and its causes are written on one line.

/// An error and its causes on one line: `cannot read the file: permission denied`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
