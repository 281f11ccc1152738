//! The fictional courses of the generated learners.
//!
//! A course has five units, a forum, a syllabus and a reading list. Each unit has a page and a video. Two units have a
//! quiz, and two have an assignment.

pub const COURSES: [Course; 8] = [
    Course {
        id: "BIO-110",
        name: "Cells and Life",
        units: [
            unit("What a cell is made of", 412, 48, 1),
            unit("How membranes decide what passes", 655, 61, 2),
            unit("Energy from sugar", 871, 37, 3),
            unit("Reading the genetic code", 734, 55, 2),
            unit("Why cells divide", 498, 70, 1),
        ],
    },
    Course {
        id: "STA-201",
        name: "Statistics for Everybody",
        units: [
            unit("Averages and what they hide", 366, 66, 1),
            unit("Chance, counted", 587, 42, 2),
            unit("The bell curve", 702, 33, 3),
            unit("Testing a claim", 928, 46, 3),
            unit("A line through the points", 645, 58, 2),
        ],
    },
    Course {
        id: "HIS-130",
        name: "Cities and Trade, 1200 to 1600",
        units: [
            unit("Markets and walls", 538, 72, 1),
            unit("Ships of the northern seas", 611, 54, 1),
            unit("Money that travels", 779, 40, 2),
            unit("Plague years", 694, 63, 1),
            unit("Printers and readers", 523, 51, 1),
        ],
    },
    Course {
        id: "INF-101",
        name: "Programming from Zero",
        units: [
            unit("Your first program", 305, 74, 1),
            unit("Decisions and loops", 682, 45, 2),
            unit("Functions", 757, 52, 2),
            unit("Lists and dictionaries", 836, 38, 3),
            unit("Finding your own mistakes", 590, 64, 2),
        ],
    },
    Course {
        id: "PHY-115",
        name: "Motion and Forces",
        units: [
            unit("How to describe motion", 471, 57, 1),
            unit("Newton's three sentences", 633, 49, 2),
            unit("Work and energy", 715, 44, 2),
            unit("Turning things", 954, 35, 3),
            unit("Swings and springs", 808, 60, 3),
        ],
    },
    Course {
        id: "LIN-120",
        name: "The Sounds of Language",
        units: [
            unit("Mouth, throat and air", 429, 68, 1),
            unit("Writing down what is heard", 566, 43, 2),
            unit("Tone and stress", 618, 56, 2),
            unit("Why accents differ", 487, 75, 1),
            unit("Sound changes over time", 703, 50, 2),
        ],
    },
    Course {
        id: "ENV-140",
        name: "Water and Climate",
        units: [
            unit("The journey of a drop", 394, 71, 1),
            unit("Rivers and floods", 577, 53, 1),
            unit("Ice that remembers", 686, 62, 2),
            unit("Models and their limits", 892, 36, 3),
            unit("Cities by the sea", 541, 59, 1),
        ],
    },
    Course {
        id: "MUS-105",
        name: "Listening to Music",
        units: [
            unit("Rhythm in the body", 333, 76, 1),
            unit("Scales around the world", 604, 47, 2),
            unit("What makes a chord", 669, 41, 2),
            unit("Form: hearing the plan", 748, 65, 2),
            unit("Recording and memory", 452, 69, 1),
        ],
    },
];

pub struct Course {
    /// The short name.
    pub id: &'static str,
    pub name: &'static str,
    pub units: [Unit; UNITS],
}

pub struct Unit {
    pub title: &'static str,
    pub video: Video,
}

#[derive(Debug, Clone, Copy)]
pub struct Video {
    /// In seconds.
    pub length: u32,
    /// The second at which viewers often stop, go back, or leave.
    pub hard_part: u32,
    /// From 1 to 3. More viewers leave a difficult video.
    pub difficulty: u32,
}

const fn unit(title: &'static str, length: u32, hard_part_percent: u32, difficulty: u32) -> Unit {
    Unit { title, video: Video { length, hard_part: length * hard_part_percent / 100, difficulty } }
}

pub const UNITS: usize = 5;
/// The discussions that a teacher created in each forum.
pub const DISCUSSIONS: [&str; 3] =
    ["Introduce yourself", "Questions about the units", "Study groups"];

/// An activity of a course, which is a course module in Moodle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Page(usize),
    Video(usize),
    Quiz(usize),
    Assignment(usize),
    Forum,
    Syllabus,
    ReadingList,
}

impl Activity {
    /// The activities of every course.
    pub const ALL: [Self; 17] = [
        Self::Page(0),
        Self::Video(0),
        Self::Page(1),
        Self::Video(1),
        Self::Quiz(1),
        Self::Page(2),
        Self::Video(2),
        Self::Assignment(2),
        Self::Page(3),
        Self::Video(3),
        Self::Quiz(3),
        Self::Page(4),
        Self::Video(4),
        Self::Assignment(4),
        Self::Forum,
        Self::Syllabus,
        Self::ReadingList,
    ];

    /// A number from 0 to 22 that is unique in a course.
    pub fn number(self) -> usize {
        match self {
            Self::Page(unit) => unit,
            Self::Video(unit) => UNITS + unit,
            Self::Quiz(unit) => 2 * UNITS + unit,
            Self::Assignment(unit) => 3 * UNITS + unit,
            Self::Forum => 4 * UNITS,
            Self::Syllabus => 4 * UNITS + 1,
            Self::ReadingList => 4 * UNITS + 2,
        }
    }
}
