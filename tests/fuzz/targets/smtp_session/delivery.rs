//! How TCP may deliver a conversation: any order in which nobody answers what was not said yet, and holes.

use mailsnare::model::net::Side;

use super::super::input::Lengths;
use super::super::smtp::Step;
use super::script::Talk;

/// Who goes first where both may speak.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Each side says all it may before the other does.
    Turns,
    /// The server answers each command as soon as it is there.
    Eager,
    /// Pieces of any length, of either side.
    Chance(u16),
}

/// Bytes that are not in the capture.
pub struct Loss {
    side: Side,
    from: usize,
    to: usize,
}

impl Loss {
    /// One to four, anywhere.
    pub fn some(talk: &Talk, chance: u8) -> Vec<Self> {
        let mut draw = Draw(u32::from(chance) << 8 | 1);
        let mut losses: Vec<Self> = (0..=chance & 3)
            .filter_map(|_| {
                let side = if draw.below(2) == 0 { Side::Client } else { Side::Server };
                let all = talk.said[side.index()].len();
                let from = draw.below(all);
                let scale = draw.below(9);
                let to = (from + 1 + draw.below(1 << scale)).min(all);
                (from < to).then_some(Self { side, from, to })
            })
            .collect();
        losses.sort_by_key(|loss| loss.from);
        losses
    }
}

/// What a sensor hears, in order.
pub fn deliver(talk: &Talk, pace: Pace, losses: &[Loss]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut draw = Draw(if let Pace::Chance(seed) = pace { u32::from(seed) << 1 | 1 } else { 1 });
    let mut lengths = Lengths::new(draw.0);
    let mut at = [0, 0];
    loop {
        let may = [Side::Client, Side::Server].map(|side| talk.may_say(side, at));
        let speaks = |side: Side| may[side.index()] > at[side.index()];
        let side = match (pace, speaks(Side::Client), speaks(Side::Server)) {
            (_, false, false) => break,
            (_, true, false) => Side::Client,
            (_, false, true) => Side::Server,
            (Pace::Turns, ..) => Side::Client,
            (Pace::Eager, ..) => Side::Server,
            (Pace::Chance(_), ..) if draw.below(2) == 0 => Side::Client,
            (Pace::Chance(_), ..) => Side::Server,
        };
        let (from, may) = (at[side.index()], may[side.index()]);
        let to = match pace {
            Pace::Turns => may,
            // So far that the other side has something to answer.
            Pace::Eager => talk.next_heard(side, from).min(may),
            Pace::Chance(_) => (from + lengths.next() * (1 << (2 * draw.below(5)))).min(may),
        };
        say(talk, side, from..to, losses, &mut steps);
        at[side.index()] = to;
    }
    steps
}

/// Adds what of a piece is not lost.
fn say(talk: &Talk, side: Side, piece: std::ops::Range<usize>, losses: &[Loss], steps: &mut Vec<Step>) {
    let mut at = piece.start;
    for loss in losses.iter().filter(|loss| loss.side == side && loss.to > piece.start && loss.from < piece.end) {
        let (from, to) = (loss.from.max(at), loss.to.min(piece.end));
        if to <= at {
            continue;
        }
        if from > at {
            steps.push(Step::Says(side, talk.said[side.index()][at..from].to_vec()));
        }
        match steps.last_mut() {
            Some(Step::Gap(last, lost)) if *last == side => *lost += (to - from) as u64,
            _ => steps.push(Step::Gap(side, (to - from) as u64)),
        }
        at = to;
    }
    if at < piece.end {
        steps.push(Step::Says(side, talk.said[side.index()][at..piece.end].to_vec()));
    }
}

/// Numbers that look like chance and are the same each time (xorshift, after Marsaglia 2003).
struct Draw(u32);

impl Draw {
    /// Less than `most`; 0 when that is 0.
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) as usize % most.max(1)
    }
}
