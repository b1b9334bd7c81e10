//! That no build has planted bugs but the one of the simulator's own that asks for them: no package turns them on by
//! default or for another, nothing that builds for people or for Lambda asks for them, and the binary has none.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use domain::planted::{IS_PLANTED, MARKER};

/// Who has the feature, and what it turns on.
const FEATURES: &[(&str, &[&str])] = &[("domain", &[]), ("simulation", &["domain/planted"])];
/// The only way to ask for it.
const COMMAND: &str = "-p simulation --features planted";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn no_package_turns_them_on_for_itself_or_another() {
    let offline = ["--offline".to_owned()];
    let workspace = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(offline)
        .exec()
        .unwrap();
    let mut having: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &workspace.packages {
        let name = package.name.as_str();
        for (feature, turns_on) in &package.features {
            if feature == "planted" {
                having.insert(name, turns_on.iter().map(String::as_str).collect());
            } else {
                assert!(!turns_on.iter().any(|on| on.contains("planted")), "{name}: {feature} turns them on");
            }
        }
        for dependency in &package.dependencies {
            let asks = dependency.features.iter().any(|feature| feature == "planted");
            assert!(!asks, "{name} asks {} for them", dependency.name);
        }
    }
    let expected = FEATURES.iter().map(|(name, turns_on)| (*name, turns_on.to_vec())).collect();
    assert_eq!(having, expected);
}

#[test]
fn nothing_that_builds_asks_for_them_but_the_one_command() {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), ".git" | "target" | "node_modules" | ".aws-sam" | ".paidonce" | "docs") {
                    folders.push(path);
                }
            } else if !matches!(name.rsplit('.').next(), Some("rs" | "md" | "lock" | "db")) {
                files.push(path);
            }
        }
    }
    for builds in ["template.yaml", "samconfig.toml", "Cargo.toml", ".ci/run"] {
        assert!(files.contains(&root().join(builds)), "{builds} was not looked at");
    }
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let is_manifest = file.ends_with("Cargo.toml");
        for line in text.lines() {
            let at = file.display();
            assert!(!line.contains("--all-features"), "{at} asks for all features, so for planted bugs too: {line}");
            // Manifests are read above, as Cargo reads them.
            let asks = line.contains("planted") && line.contains("feature") && !is_manifest;
            assert!(!asks || line.contains(COMMAND), "{at} asks for planted bugs: {line}");
        }
    }
}

#[test]
fn the_binary_has_none() {
    const { assert!(!IS_PLANTED) };
    let known = std::fs::read_to_string(root().join("infra/simulation/planted.json")).unwrap();
    let known: BTreeMap<String, Vec<u64>> = serde_json::from_str(&known).unwrap();
    assert!(known.len() >= 25, "only {} bugs are planted", known.len());
    let program = std::fs::read(env!("CARGO_BIN_EXE_bootstrap")).unwrap();
    let text = String::from_utf8_lossy(&program);
    let holds = |words: &str| text.contains(words);
    assert!(holds("the template's Handler must be one of"), "what the binary says is not found in it");
    // That a build with bugs holds these words, `simulation --known` looks up in itself.
    for words in known.keys().map(String::as_str).chain([MARKER]) {
        assert!(!holds(words), "{words:?} is in the binary");
    }
}
