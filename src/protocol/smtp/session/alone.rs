//! The server heard alone: its replies tell what was decided, and those of some servers repeat the address they
//! answer. Nothing else is believed of a client that is not in the capture.

use super::super::reply::extensions;
use super::super::transaction::{Closed, is_success};
use super::{Context, Mode, Session};
use crate::model::event::Reply;

impl Session {
    /// A reply to a command that is not in the capture.
    pub(super) fn reply_alone(&mut self, reply: Reply, cx: &mut Context<'_>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.in_data) {
            open.decision = Some(reply);
            return self.close_open(Closed::Complete, cx);
        }
        match reply.code {
            354 => self.open_or_headless(cx).in_data = true,
            221 | 421 => self.close_open(Closed::Ended, cx),
            // Of all replies only that to EHLO has several lines of which each is an extension.
            250 if self.next_id == 0 && self.open.is_none() && !extensions(&reply.text).is_empty() => {
                self.extensions = extensions(&reply.text);
            }
            code => match echo(&reply.text) {
                Some((Role::Sender, address)) if is_success(code) => {
                    self.close_open(Closed::Reset, cx);
                    let transaction = self.new_transaction(address, cx);
                    self.begin(transaction);
                }
                // Some servers refuse a sender only when a recipient is named: then a transaction is open.
                Some((Role::Sender, address)) if self.open.is_none() => {
                    let transaction = self.new_transaction(address, cx);
                    self.begin(transaction).refusal = Some(reply);
                }
                Some((Role::Recipient, address)) => {
                    let open = self.open_or_headless(cx);
                    if let Some(index) = open.add_recipient(address)
                        && !is_success(code)
                    {
                        open.refuse_recipient(index, reply);
                    }
                }
                _ => {}
            },
        }
    }

    /// The first that is heard of the client: if the server asked for a message, this is it.
    pub(super) fn client_appears(&mut self, cx: &Context<'_>) {
        if let Some(open) = self.open.as_mut().filter(|open| open.in_data) {
            open.in_data = false;
            if matches!(self.mode, Mode::Command) {
                self.begin_data(cx);
            }
        }
    }
}

/// What an address in a reply was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Sender,
    Recipient,
}

/// The address a reply's text begins with, as `2.1.0 <a@b>... Sender ok` of Sendmail, and what it was given for: by
/// the words after it, else by the enhanced status code (RFC 3463, section 3.2). None when either is not plain.
fn echo(text: &str) -> Option<(Role, String)> {
    let line = text.lines().next()?;
    let (status, rest) = enhanced_status(line).map_or(("", line), |status| (status, line[status.len()..].trim_start()));
    let (address, words) = match rest.strip_prefix('<') {
        Some(inside) => inside.split_once('>')?,
        None => rest.split_at(rest.find("...").or_else(|| rest.find(char::is_whitespace)).unwrap_or(rest.len())),
    };
    let address = address.trim_end_matches(['.', ',', ':']);
    let null = address.is_empty() && rest.starts_with("<>");
    if !(null || address.contains('@')) || address.contains(char::is_whitespace) {
        return None;
    }
    let words = words.to_ascii_lowercase();
    let by_words = match (words.find("sender"), words.find("recipient").or_else(|| words.find("user unknown"))) {
        (Some(sender), Some(recipient)) if recipient < sender => Some(Role::Recipient),
        (Some(_), _) => Some(Role::Sender),
        (None, Some(_)) => Some(Role::Recipient),
        (None, None) => None,
    };
    let by_status = match status.split_once('.').map_or("", |(_, detail)| detail) {
        "1.0" if status.starts_with('2') => Some(Role::Sender),
        "1.7" | "1.8" => Some(Role::Sender),
        "1.1" | "1.2" | "1.3" | "1.5" | "1.6" | "2.1" | "2.2" => Some(Role::Recipient),
        _ => None,
    };
    by_words.or(by_status).filter(|role| !null || *role == Role::Sender).map(|role| (role, address.to_owned()))
}

/// The enhanced status code a reply's text begins with (RFC 2034, section 4): `5.1.1`.
pub(super) fn enhanced_status(text: &str) -> Option<&str> {
    let status = text.split(char::is_whitespace).next()?;
    let mut parts = status.split('.');
    let mut number = |digits: usize| {
        parts.next().is_some_and(|part| (1..=digits).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let valid = number(1) && number(3) && number(3);
    (valid && parts.next().is_none()).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_where_real_servers_repeat_them() {
        let sender = |address: &str| Some((Role::Sender, address.to_owned()));
        let recipient = |address: &str| Some((Role::Recipient, address.to_owned()));
        // Sendmail 8.
        assert_eq!(echo("2.1.0 <a@b.example>... Sender ok"), sender("a@b.example"));
        assert_eq!(echo("2.1.0 <>... Sender ok"), sender(""));
        assert_eq!(echo("2.1.5 <c@d.example>... Recipient ok"), recipient("c@d.example"));
        assert_eq!(echo("2.1.5 c@d.example... Recipient ok (will queue)"), recipient("c@d.example"));
        assert_eq!(echo("5.1.1 <c@d.example>... User unknown"), recipient("c@d.example"));
        // Sendmail before enhanced codes, Exchange, Postfix.
        assert_eq!(echo("a@b.example... Sender ok"), sender("a@b.example"));
        assert_eq!(echo("2.1.0 a@b.example....Sender OK"), sender("a@b.example"));
        assert_eq!(echo("2.1.5 c@d.example "), recipient("c@d.example"));
        assert_eq!(echo("5.1.1 <c@d>: Recipient address rejected: unknown sender map"), recipient("c@d"));
        assert_eq!(echo("5.7.1 <a@b>: Sender address rejected: Access denied"), sender("a@b"));
    }

    #[test]
    fn nothing_is_made_up() {
        for text in [
            "2.1.0 Ok",
            "OK",
            "<a@b.example> is syntactically correct",
            "mx.example Hello c@d [192.0.2.1], pleased to meet you",
            "2.1.5 <>... Recipient ok",
            "2.0.0 <20231031@mx.example> queued",
            "5.7.1 <client.example[192.0.2.1]>: Client host rejected: sender blocked",
            "2.1.0 <a@b",
            "",
        ] {
            assert_eq!(echo(text), None, "{text}");
        }
    }

    #[test]
    fn enhanced_codes_are_three_numbers() {
        assert_eq!(enhanced_status("5.7.8 no"), Some("5.7.8"));
        assert_eq!(enhanced_status("2.10.123"), Some("2.10.123"));
        for text in ["5.7", "5.7.8.9 x", "192.0.2.1 x", "mx.a.b", "", "5..1"] {
            assert_eq!(enhanced_status(text), None, "{text}");
        }
    }
}
