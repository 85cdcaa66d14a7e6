//! The words of synthetic texts: ordinary, short, all different. Data only.

/// What texts are made of.
pub(super) const WORDS: [&str; 158] = [
    "apple", "river", "stone", "garden", "window", "summer", "winter", "paper", "table", "music", "market", "bridge",
    "forest", "island", "silver", "golden", "morning", "evening", "yellow", "purple", "orange", "little", "simple",
    "gentle", "quiet", "bright", "heavy", "narrow", "hollow", "modern", "ancient", "distant", "famous", "careful",
    "traveler", "teacher", "doctor", "farmer", "sailor", "painter", "writer", "singer", "driver", "worker", "builder",
    "keeper", "water", "fire", "earth", "cloud", "storm", "thunder", "shadow", "light", "sound", "voice", "letter",
    "number", "story", "picture", "colour", "road", "street", "corner", "station", "airport", "harbour", "village",
    "city", "country", "mountain", "valley", "desert", "ocean", "lake", "bread", "butter", "cheese", "coffee", "sugar",
    "salt", "pepper", "honey", "lemon", "cherry", "potato", "tomato", "horse", "tiger", "rabbit", "eagle", "dolphin",
    "spider", "turtle", "house", "kitchen", "bedroom", "ceiling", "floor", "door", "chair", "lamp", "mirror", "carpet",
    "pillow", "blanket", "walk", "run", "climb", "carry", "follow", "gather", "listen", "remember", "wonder",
    "imagine", "discover", "explain", "before", "after", "under", "above", "between", "behind", "around", "across",
    "north", "south", "east", "west", "left", "right", "one", "two", "three", "four", "five", "six", "seven", "eight",
    "nine", "ten", "paint", "glass", "metal", "wood", "cotton", "leather", "rubber", "plastic", "engine", "wheel",
    "anchor", "ladder", "hammer", "needle", "bottle", "basket",
];
