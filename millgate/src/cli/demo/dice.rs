//! Chance that can be repeated: everything follows from the seed, the kind of thing and its number, in whatever order
//! things are made.

/// A stream of numbers that only look random (SplitMix64: Steele, Lea, Flood, OOPSLA 2014). It keeps no secret.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The dice of one thing.
    pub(super) fn of(seed: u32, kind: Kind, number: u32) -> Self {
        let mut dice = Self((u64::from(seed) << 8) | kind as u64);
        // Neighbours in number have nothing in common.
        Self(dice.roll() ^ u64::from(number).wrapping_mul(GOLDEN_GAMMA))
    }

    /// The next 64 bits.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound`, which itself is not among them.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        let scaled = ((self.roll() >> 32) * u64::from(bound)) >> 32;
        u32::try_from(scaled).unwrap_or_default()
    }

    /// A number from `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    /// As [`Dice::below`], low numbers more often than high ones: some customers and products are known better.
    pub(super) fn low(&mut self, bound: u32) -> u32 {
        self.below(bound).min(self.below(bound))
    }

    /// Whether something of so many hundredths happens.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub(super) fn pick(&mut self, of: &[&'static str]) -> &'static str {
        let at = self.below(u32::try_from(of.len()).unwrap_or_default());
        of.get(at as usize).copied().unwrap_or_default()
    }
}

/// Kinds of things, each with dice of its own. The numbers are in what was made: they never change.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Product = 1,
    Customer = 2,
    Employee = 3,
    Run = 4,
    Order = 5,
    Ticket = 6,
    Edition = 7,
    Moment = 8,
}

/// The calls that make and move things. The numbers are in the request ids: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    CreateProduct = 1,
    CreateCustomer = 2,
    CreateEmployee = 3,
    CreateRun = 4,
    EndRun = 5,
    PlaceOrder = 6,
    ConfirmOrder = 7,
    StartProduction = 8,
    ShipOrder = 9,
    CompleteOrder = 10,
    CancelOrder = 11,
    OpenTicket = 12,
    AssignMechanic = 13,
    StartTicket = 14,
    AddPart = 15,
    CloseTicket = 16,
    CancelTicket = 17,
}

/// The request id of a call: a UUID of version 8, which says which demo, which step and which thing, so that a repeated
/// call gives its first answer.
pub(super) fn request_id(edition: u64, step: Step, number: u32) -> String {
    format!(
        "{:08x}-{:04x}-8{:03x}-8000-{number:012x}",
        edition >> 32,
        edition & 0xffff,
        step as u16
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_has_the_same_dice_and_others_have_others() {
        let rolls = |seed, kind, number| {
            let mut dice = Dice::of(seed, kind, number);
            [dice.roll(), dice.roll()]
        };
        let one = rolls(1, Kind::Order, 7);
        assert_eq!(one, rolls(1, Kind::Order, 7));
        for other in [
            rolls(2, Kind::Order, 7),
            rolls(1, Kind::Ticket, 7),
            rolls(1, Kind::Order, 8),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_both() {
        let mut dice = Dice::of(1, Kind::Order, 0);
        let rolled: Vec<u32> = (0..1000).map(|_| dice.between(3, 6)).collect();
        assert_eq!(rolled.iter().min(), Some(&3));
        assert_eq!(rolled.iter().max(), Some(&6));
        assert!((0..1000).all(|_| dice.below(1) == 0 && dice.low(9) < 9));
    }

    #[test]
    fn a_request_id_is_a_uuid_and_that_of_one_call() {
        let id = request_id(0x0123_4567_89ab_cdef, Step::CancelTicket, 999_999);
        assert_eq!(id, "01234567-cdef-8011-8000-0000000f423f");
        assert!(uuid::Uuid::try_parse(&id).is_ok());
        assert_ne!(
            id,
            request_id(0x0123_4567_89ab_cdef, Step::CloseTicket, 999_999)
        );
        assert_ne!(
            id,
            request_id(0x0123_4567_89ab_cdef, Step::CancelTicket, 999_998)
        );
    }
}
