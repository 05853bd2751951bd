//! The switch to TLS, and what its handshake shows before the rest is hidden.

use super::super::transaction::Closed;
use super::{Context, Mode, Said, Session, Standing};
use crate::model::event::SmtpEvent;
use crate::model::limits;
use crate::model::net::Side;
use crate::protocol::tls::Handshake;

impl Session {
    /// From here on the session is TLS. `held`: what the client said since its STARTTLS.
    pub(super) fn switch_to_tls(&mut self, held: &[u8], cx: &mut Context<'_>) {
        self.forget_pending(cx);
        self.close_open(Closed::Ended, cx);
        self.tls = true;
        self.tls_since = cx.now;
        cx.stats.tls_sessions += 1;
        let mut handshake = Box::new(Handshake::default());
        if held.first().is_some_and(u8::is_ascii_alphabetic) {
            // RFC 3207, section 6: commands sent before the handshake are to be discarded; a server that does not
            // takes them as if they had been protected (CVE-2011-0411 and its like).
            self.anomaly("smtp-starttls-injection", Side::Client, String::new(), cx);
        } else {
            handshake.push(Side::Client, held);
        }
        self.mode = Mode::Tls(handshake);
    }

    /// TLS from the first byte (RFC 8314, section 3.3), or after a STARTTLS whose reply we do not have. `held`:
    /// what the client said of it so far.
    pub(super) fn unannounced_tls(&mut self, held: &[u8], cx: &mut Context<'_>) {
        if self.expected || self.standing == Standing::Smtp {
            self.stands(cx);
            self.switch_to_tls(held, cx);
        } else {
            self.is_other();
        }
    }

    /// Tells the session once the handshake has shown what it will, or has taken too long.
    pub(super) fn watch_handshake(&mut self, cx: &mut Context<'_>) {
        if let Mode::Tls(handshake) = &self.mode
            && (handshake.is_done() || cx.now.since(self.tls_since) >= limits::TLS_PATIENCE)
        {
            self.tell_tls(cx);
        }
    }

    pub(super) fn tell_tls(&mut self, cx: &mut Context<'_>) {
        let Mode::Tls(handshake) = &mut self.mode else { return };
        let handshake = std::mem::take(handshake);
        self.mode = Mode::Opaque;
        let event = SmtpEvent { tls_facts: Some(Box::new(handshake.into_facts())), ..self.session_event() };
        self.events += 1;
        cx.out.push(Said::Event(Box::new(event)));
    }
}
