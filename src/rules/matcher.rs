//! A rule's tree of conditions, held against one message or one DNS question.

use super::field::{Context, TextField};
use super::file::FileTest;
use super::text::{Text, TextTest};
use crate::model::event::Dialect;
use crate::model::net::Direction;

/// A condition. Its depth is bounded by [`crate::model::limits::RULE_DEPTH`] when it is read.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// So many of these at least.
    AtLeast(usize, Vec<Condition>),
    /// Any value of the field passes the test.
    Text(TextField, TextTest),
    /// Any value of the header of that name does.
    Header(String, TextTest),
    /// The message has that header.
    Has(String),
    /// The message was read and has no such header.
    Lacks(String),
    /// Any file does.
    File(FileTest),
    /// The size of the message in bytes.
    Size(NumberTest),
    Direction(Vec<Direction>),
    /// Any of these [`Dialect`] bits was seen.
    Dialect(u32),
    /// A domain among the values of the one field is among those of the other.
    SameDomain(TextField, TextField),
    /// The DNS name asked.
    DnsName(TextTest),
}

impl Condition {
    /// Whether it holds, with as little work as that takes.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(context)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(context)),
            Self::Not(part) => !part.holds(context),
            Self::AtLeast(count, parts) => {
                parts.iter().filter(|part| part.holds(context)).take(*count).count() == *count
            }
            Self::Text(field, test) => first(context.values(*field, test.raw), test).is_some(),
            Self::Header(name, test) => context.header(name, test.raw).any(|value| test.holds(value)),
            Self::Has(name) => context.has_header(name) == Some(true),
            Self::Lacks(name) => context.has_header(name) == Some(false),
            Self::File(test) => test.first(context.files()).is_some(),
            Self::Size(test) => context.size().is_some_and(|size| test.holds(size)),
            Self::Direction(ways) => ways.contains(&context.direction()),
            Self::Dialect(bits) => context.dialect().has(*bits),
            Self::SameDomain(one, other) => context.shared_domain(*one, *other).is_some(),
            Self::DnsName(test) => context.dns_name().is_some_and(|name| test.holds(name)),
        }
    }

    /// Says why it holds: every mark that does, in the rule's order. For a condition that does not hold, nothing.
    pub fn explain(&self, context: &Context<'_>, out: &mut Vec<String>) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::AtLeast(_, parts) => {
                if self.holds(context) {
                    parts.iter().for_each(|part| part.explain(context, out));
                }
            }
            Self::File(test) => test.explain(context.files(), out),
            _ => {
                let said = self.evidence(context).filter(|said| !out.contains(said));
                out.extend(said);
            }
        }
    }

    /// What a single mark has to show for itself. The absence of a thing shows nothing: `lacks` is for that.
    fn evidence(&self, context: &Context<'_>) -> Option<String> {
        match self {
            Self::Text(field, test) => {
                let (value, range) = first(context.values(*field, test.raw), test)?;
                Some(format!("{} {}", field.name(), value.quoted(range)))
            }
            Self::Header(name, test) => {
                let found = context.header(name, test.raw).find_map(|value| Some((value, test.find(value)?)));
                found.map(|(value, range)| format!("header {name} {}", value.quoted(range)))
            }
            Self::Has(name) => self.holds(context).then(|| format!("header {name} present")),
            Self::Lacks(name) => self.holds(context).then(|| format!("header {name} absent")),
            Self::Size(test) => context.size().filter(|&size| test.holds(size)).map(|size| format!("size {size}")),
            Self::Direction(_) => self.holds(context).then(|| format!("direction {}", context.direction())),
            Self::Dialect(bits) => {
                let traits: Vec<_> = Dialect(context.dialect().0 & bits).names().collect();
                (!traits.is_empty()).then(|| format!("dialect {}", traits.join(", ")))
            }
            Self::SameDomain(one, other) => {
                let domain = Text::plain(context.shared_domain(*one, *other)?);
                let domain = domain.quoted(0..0);
                Some(format!("{} and {} share the domain {domain}", one.name(), other.name()))
            }
            Self::DnsName(test) => {
                let name = context.dns_name()?;
                Some(format!("dns.name {}", name.quoted(test.find(name)?)))
            }
            Self::All(_) | Self::Any(_) | Self::Not(_) | Self::AtLeast(..) | Self::File(_) => None,
        }
    }

    /// Words of which at least one stands in every DNS name this holds for; none when that is not known.
    pub fn dns_literals(&self) -> Option<Vec<String>> {
        match self {
            Self::DnsName(test) => test.literals(),
            Self::All(parts) => parts.iter().filter_map(Self::dns_literals).min_by_key(Vec::len),
            Self::Any(parts) | Self::AtLeast(_, parts) => {
                let each: Option<Vec<_>> = parts.iter().map(Self::dns_literals).collect();
                each.map(|lists| lists.concat())
            }
            _ => None,
        }
    }

    /// Calls `visit` with every condition without parts of its own.
    pub fn visit_marks(&self, visit: &mut impl FnMut(&Self)) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::AtLeast(_, parts) => {
                parts.iter().for_each(|part| part.visit_marks(visit));
            }
            Self::Not(part) => part.visit_marks(visit),
            _ => visit(self),
        }
    }
}

fn first<'t, 'a>(values: &'t [Text<'a>], test: &TextTest) -> Option<(&'t Text<'a>, std::ops::Range<usize>)> {
    values.iter().find_map(|value| Some((value, test.find(value)?)))
}

/// What a number must be: all of the ranges hold.
#[derive(Clone, Debug)]
pub(super) struct NumberTest(pub Vec<NumberRange>);

/// One test on a number.
#[derive(Clone, Debug)]
pub(super) enum NumberRange {
    OneOf(Vec<u64>),
    /// Bounds included.
    Between(u64, u64),
}

impl NumberTest {
    pub fn holds(&self, number: u64) -> bool {
        self.0.iter().all(|range| match range {
            NumberRange::OneOf(numbers) => numbers.contains(&number),
            NumberRange::Between(least, most) => (*least..=*most).contains(&number),
        })
    }
}
