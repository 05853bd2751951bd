//! The name of an attachment: the one a reader would save it under.

use super::parameter::Parameters;
use crate::model::limits;

/// A part's name, and the other one when its two fields disagree. `filename` of Content-Disposition (RFC 2183,
/// section 2.3) goes before `name` of Content-Type (RFC 2046, section 4.5.1), which old mailers use alone.
///
/// The name is as given: paths, control characters and deceptive characters stay in it, for rules to see.
pub fn file_name(disposition: &Parameters<'_>, content_type: &Parameters<'_>) -> (Option<String>, Option<String>) {
    let find = |first: &str, second: &str, field: &Parameters<'_>| {
        field.text(first).or_else(|| field.text(second)).filter(|name| !name.is_empty()).map(bounded)
    };
    match (find("filename", "name", disposition), find("name", "filename", content_type)) {
        (Some(name), Some(other)) if !same(&name, &other) => (Some(name), Some(other)),
        (name, other) => (name.or(other), None),
    }
}

/// A name cut to what is kept of one.
pub fn bounded(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(limits::FILE_NAME_BYTES));
    name
}

fn same(name: &str, other: &str) -> bool {
    name.trim().to_lowercase() == other.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str, content_type: &str) -> (Option<String>, Option<String>) {
        file_name(&Parameters::parse(disposition.as_bytes()), &Parameters::parse(content_type.as_bytes()))
    }

    #[test]
    fn reads_both_fields() {
        let own = |name: &str| Some(name.to_owned());
        assert_eq!(name("attachment; filename=a.zip", "application/zip; name=\"A.ZIP\""), (own("a.zip"), None));
        assert_eq!(name("attachment", "application/zip; name=b.zip"), (own("b.zip"), None));
        assert_eq!(name("attachment; name=c.zip", ""), (own("c.zip"), None));
        assert_eq!(name("", "application/zip; filename=d.zip"), (own("d.zip"), None));
        assert_eq!(name("inline; filename=a.txt", "text/plain; name=b.exe"), (own("a.txt"), own("b.exe")));
        assert_eq!(name("attachment; filename=\"\"", "text/plain"), (None, None));
        let long = name(&format!("attachment; filename=\"{}\"", "\u{e9}".repeat(9_000)), "").0.unwrap();
        assert_eq!(long.len(), limits::FILE_NAME_BYTES);
        assert_eq!(name("attachment; filename=\"..\\x\u{1}.exe\"", "").0, own("..\\x\u{1}.exe"));
    }
}
