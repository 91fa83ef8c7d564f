//! What people, places and things of the demo are called. No address and no telephone number here is anybody's: the
//! emails are under `.example` (RFC 2606), the numbers begin with 555-01.

pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada", "Amir", "Beatriz", "Bruno", "Chen", "Clara", "Dario", "Edith", "Elif", "Emil", "Fatima",
    "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Julia", "Kamal", "Karin", "Lars",
    "Leila", "Lena", "Luca", "Maja", "Marco", "Mina", "Nadia", "Noah", "Olga", "Omar", "Paula",
    "Pavel", "Rosa", "Samir", "Sofia", "Tomas", "Vera", "Yusuf",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "Adler", "Bakker", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Fontana", "Garcia",
    "Haas", "Hansen", "Horvat", "Ito", "Jansen", "Kaya", "Keller", "Kovacs", "Lindt", "Lopez",
    "Marin", "Meyer", "Miller", "Moreau", "Nagy", "Novak", "Okafor", "Olsen", "Peeters", "Petrov",
    "Quinn", "Rossi", "Sato", "Schmid", "Silva", "Smith", "Tanaka", "Varga", "Weber", "Wolf",
    "Young",
];

pub(super) const STREETS: &[&str] = &[
    "Mill Lane",
    "Station Road",
    "Harbour Street",
    "Church Road",
    "Foundry Lane",
    "Market Square",
    "Canal Street",
    "Orchard Way",
    "Bridge Street",
    "Quarry Road",
];

pub(super) const TOWNS: &[&str] = &[
    "Oldbridge",
    "Millford",
    "Eastwick",
    "Norham",
    "Stonefield",
    "Westhaven",
    "Brookside",
    "Greenport",
    "Hillcrest",
    "Southmoor",
];

pub(super) const QUALITIES: &[&str] = &[
    "Compact",
    "Heavy-duty",
    "Sealed",
    "Stainless",
    "High-pressure",
    "Low-noise",
    "Galvanised",
    "Precision",
    "Twin",
    "Flanged",
    "Brass",
    "Hardened",
];

pub(super) const GOODS: &[&str] = &[
    "gear pump",
    "ball valve",
    "drive shaft",
    "bearing block",
    "pressure gauge",
    "filter housing",
    "chain sprocket",
    "coupling",
    "hydraulic cylinder",
    "mounting bracket",
    "control unit",
    "flow meter",
    "hose clamp",
    "impeller",
    "conveyor roller",
    "limit switch",
];

pub(super) const POSITIONS: &[&str] = &[
    "Assembler",
    "Foreman",
    "Lathe operator",
    "Packer",
    "Quality inspector",
    "Storekeeper",
    "Welder",
];

pub(super) const ORDER_NOTES: &[&str] = &[
    "Please ring before delivery.",
    "Deliver to the back gate.",
    "One delivery, please.",
    "Our usual terms.",
    "Leave it with the porter.",
];

pub(super) const CANCEL_REASONS: &[&str] = &[
    "Ordered twice by mistake",
    "Found it elsewhere",
    "The project was put off",
    "The wrong size was ordered",
];

pub(super) const TROUBLES: &[&str] = &[
    "It leaks at the seal",
    "It makes a grinding noise",
    "It does not start",
    "It runs hot",
    "The thread is worn",
    "It loses pressure overnight",
    "Yearly maintenance",
];

pub(super) const REMEDIES: &[&str] = &[
    "Replaced the seal and tested under pressure",
    "Cleaned, greased and adjusted",
    "Replaced the worn part",
    "No fault found; tested for an hour",
    "Tightened and recalibrated",
];
