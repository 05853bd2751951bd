//! Names of domains, compared.

/// Whether two names belong together: one is the other, or stands below it, or both stand below the same domain of two
/// labels. Without a list of public suffixes two strangers under `co.uk` look related: an error on the lenient side.
pub fn related(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches(['.', '>']), b.trim_end_matches(['.', '>']));
    if a.eq_ignore_ascii_case(b) || below(a, b) || below(b, a) {
        return true;
    }
    matches!((last_two(a), last_two(b)), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
}

/// Whether `a` is a name under `b`, a domain of two labels at least.
fn below(a: &str, b: &str) -> bool {
    let start = a.len().wrapping_sub(b.len());
    b.contains('.')
        && a.len() > b.len()
        && a.as_bytes().get(start - 1) == Some(&b'.')
        && a.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(b))
}

fn last_two(name: &str) -> Option<&str> {
    let (rest, _) = name.rsplit_once('.')?;
    let start = rest.rfind('.').map_or(0, |dot| dot + 1);
    name.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations() {
        for (a, b) in [
            ("mx.firm.example", "firm.example"),
            ("firm.example", "news.firm.example."),
            ("MX1.firm.example", "news.Firm.example>"),
            ("firm.example", "FIRM.EXAMPLE"),
        ] {
            assert!(related(a, b) && related(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("mx.firm.example", "firms.example"),
            ("localhost", "example"),
            ("mx.example", "example"),
            ("xfirm.example", "firm.example"),
            ("", "firm.example"),
            ("größe.example", "ße.example"),
        ] {
            assert!(!related(a, b), "{a} {b}");
        }
    }
}
