//! That the command has none of the bugs that are planted for the simulator to find.

use std::collections::BTreeMap;

use domain::planted::{IS_PLANTED, MARKER};

/// Every planted bug by its name; that a build with bugs holds these words, `simulation --known` looks up in itself.
const KNOWN: &str = include_str!("../../../simulation/planted.json");

#[test]
fn the_command_has_no_planted_bugs() {
    const { assert!(!IS_PLANTED) };
    let known: BTreeMap<String, Vec<u64>> = serde_json::from_str(KNOWN).unwrap();
    assert!(known.len() >= 25, "only {} bugs are planted", known.len());
    let program = std::fs::read(env!("CARGO_BIN_EXE_paidonce")).unwrap();
    let text = String::from_utf8_lossy(&program);
    let holds = |words: &str| text.contains(words);
    assert!(holds("Replay one event through its function"), "what the command says is not found in it");
    for words in known.keys().map(String::as_str).chain([MARKER]) {
        assert!(!holds(words), "{words:?} is in the command");
    }
}
