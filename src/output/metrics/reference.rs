//! The page that lists every metric, made from the families themselves.

use std::fmt::Write as _;

use super::{Family, Metrics};

/// `docs/metrics.md`, as text.
pub fn reference(metrics: &Metrics) -> String {
    let mut page = String::from(INTRODUCTION);
    table(&mut page, metrics.families().iter().filter(|family| !is_process(family)));
    page.push_str("\n## Of the process\n\nAs Prometheus clients everywhere have them; not in the textfile.\n");
    table(&mut page, metrics.families().iter().filter(|family| is_process(family)));
    page.push_str("\n## Labels\n\n| label | says |\n| --- | --- |\n");
    for (label, meaning) in LABELS {
        let _ = writeln!(page, "| `{label}` | {meaning} |");
    }
    page
}

fn table<'a>(page: &mut String, families: impl Iterator<Item = &'a Family>) {
    page.push_str("\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for Family { name, kind, help, labels } in families {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
}

fn is_process(family: &Family) -> bool {
    family.name.starts_with("process_")
}

const INTRODUCTION: &str = "\
# Metrics

What `/metrics` serves and `replay --metrics-textfile` writes. This page is made from the code, by
`UPDATE_DOCS=1 cargo test --test observability`, and a test holds it against the code.

The number of series is bounded whatever the traffic. Per-host series (`mailsnare_host_*`) exist only for hosts under
suspicion (500 at most, the worst first) and for the 50 that mail most, and go when a host calms; rules past the
thousandth share the name `other`. Counters of a host start again at 0 when it was forgotten meanwhile: `rate()` and
`increase()` allow for that.

## Of the sensor
";

/// Every label and what its values are.
const LABELS: &[(&str, &str)] = &[
    ("channel", "a way of telling others: `alertmanager`, `syslog`"),
    ("host", "the address of a home host"),
    ("interface", "where packets come from: an interface's name; `replay` for capture files"),
    ("layer", "where an anomaly was met: `decode`, `stream`, `smtp`, `dns`, `mail`, `archive`"),
    ("name", "of an anomaly, as in its EVE line"),
    (
        "pool",
        "what holds memory: `flows` (table and conversations), `reassembly` (streams), `fragments`, `dns` (unfinished, over TCP), `messages` (SMTP sessions), `inspection` (messages queued or being opened), `queues` (events), `hosts` (with what is remembered of them), `evidence` (packets remembered), `rings` (the kernel's, of live capture; beside the budget)",
    ),
    (
        "queue",
        "what waits: `messages` for an inspector, `events` (in batches) for the correlator, `alertmanager` incidents to be posted",
    ),
    (
        "reason",
        "why: of a flow's end `finished`, `reset`, `timeout`, `evicted`, `replaced`, `shutdown`; of a message passed on unopened `queue_full`, `inspector_failed`",
    ),
    (
        "result",
        "how it went: of files `written`, `known`, `too_large`, `over_total`, `failed`; of a reload `ok`, `failed`; of notifications `sent`, `failed` (an attempt), `dropped` (given up); of packets for evidence `written`, `over_cap`, `failed`, `forgotten` (wanted by no incident so far; their host may be suspected later), `shed`",
    ),
    ("role", "of a host: `mail-server-declared`, `mail-server-learnt`, `mail-server-possible`, `resolver`, `ordinary`"),
    ("rule", "the stable name of the rule or detector"),
    ("severity", "`critical`, `high`, `medium`, `low`, `info`"),
    ("source", "the rule or detector that says it"),
    ("transport", "`tcp` or `udp`"),
    ("type", "a file's type found from its bytes, as `zip` or `pe`"),
    ("verdict", "of a host `suspicious` or `infected`; of a message `clean`, `matched` (by a rule), `uninspected`"),
    ("version", "of mailsnare"),
    ("worker", "an inspector thread, by number"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_label_is_explained_and_no_other() {
        let metrics = Metrics::new("1").unwrap();
        let used: BTreeSet<_> =
            metrics.families().iter().flat_map(|family| family.labels.iter().map(String::as_str)).collect();
        assert_eq!(used, LABELS.iter().map(|(label, _)| *label).collect());
    }
}
