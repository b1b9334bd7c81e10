//! The rules of the house that a compiler does not keep: who may know whom, where the services' types stop, that one
//! cryptography is enough, and that every file says what it is for.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What each package of the workspace may know of the others, in code that is deployed or run.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("platform", &["domain"]),
    ("functions", &["domain", "platform"]),
    ("local-cloud", &[]),
    ("gateway", &[]),
    ("local-system", &["domain", "platform", "functions", "local-cloud", "gateway"]),
    ("benchmarks", &["domain", "platform", "functions", "local-cloud", "gateway", "local-system"]),
    ("simulation", &["domain", "platform", "functions", "local-cloud", "gateway", "local-system"]),
    (
        "paidonce",
        &["domain", "platform", "functions", "local-cloud", "gateway", "local-system", "benchmarks", "simulation"],
    ),
];
/// What tests may know besides; those of `domain`, `local-cloud` and `gateway` need nobody.
const TESTS_MAY_KNOW: &[&str] = &["local-cloud", "local-system", "gateway"];
const KNOW_NOBODY: &[&str] = &["domain", "local-cloud", "gateway"];

/// What a package may not name, by how it begins.
const MAY_NOT_NAME: &[(&str, &[&str])] = &[
    ("domain", &["aws", "lambda", "tokio", "futures", "hyper", "http", "fastrand", "rand", "tracing", "serde_dynamo"]),
    ("functions", &["aws", "lambda", "serde_dynamo", "hyper"]),
    ("local-system", &["aws", "lambda", "serde_dynamo"]),
    ("benchmarks", &["lambda", "serde_dynamo"]),
    ("simulation", &["aws-sdk", "lambda", "serde_dynamo"]),
    ("paidonce", &["lambda", "serde_dynamo"]),
];

/// Only these know what a table's attribute is.
const KNOW_ATTRIBUTES: &[&str] = &["platform", "local-cloud"];

fn workspace() -> Metadata {
    let manifest = root().join("Cargo.toml");
    let offline = ["--offline".to_owned()];
    MetadataCommand::new().manifest_path(manifest).no_deps().other_options(offline).exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn folder(package: &Package) -> &Path {
    package.manifest_path.parent().unwrap().as_std_path()
}

/// Every source file of a package, tests and examples included.
fn sources(package: &Package) -> Vec<PathBuf> {
    let mut folders = vec![folder(package).to_owned()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    assert!(!sources.is_empty(), "{} has no source", package.name);
    sources
}

#[test]
fn dependencies_point_one_way() {
    let workspace = workspace();
    let ours: Vec<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &workspace.packages {
        let name = package.name.as_str();
        let (_, may_know) = MAY_KNOW
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{name} is new: say in MAY_KNOW what it may know, and in docs/ARCHITECTURE.md"));
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name.as_str())) {
            let whom = dependency.name.as_str();
            let in_tests = dependency.kind == DependencyKind::Development
                && TESTS_MAY_KNOW.contains(&whom)
                && !KNOW_NOBODY.contains(&name);
            assert!(may_know.contains(&whom) || in_tests, "{name} may not know {whom} ({:?})", dependency.kind);
        }
    }
    for (name, _) in MAY_KNOW {
        assert!(ours.contains(name), "{name} is in MAY_KNOW and not in the workspace");
    }
}

#[test]
fn the_services_stay_where_they_belong() {
    for package in workspace().packages {
        let barred =
            MAY_NOT_NAME.iter().filter(|(name, _)| *name == package.name.as_str()).flat_map(|(_, barred)| *barred);
        for beginning in barred {
            let named = package.dependencies.iter().find(|dependency| {
                dependency.kind != DependencyKind::Development && dependency.name.starts_with(beginning)
            });
            assert!(named.is_none(), "{} names {}", package.name, named.unwrap().name);
        }
        if KNOW_ATTRIBUTES.contains(&package.name.as_str()) {
            continue;
        }
        let tests = folder(&package).join("tests");
        for source in sources(&package).into_iter().filter(|source| !source.starts_with(&tests)) {
            let text = std::fs::read_to_string(&source).unwrap();
            assert!(!text.contains("AttributeValue"), "{} knows how a table writes a value", source.display());
        }
    }
}

/// A second TLS stack costs a cold start tens of milliseconds, and comes in with one default feature.
#[test]
fn there_is_one_of_what_one_is_enough_of() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    assert!(packages.contains(&"ring"), "the lock-file is not as this test reads it");
    for barred in ["aws-config", "aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "rsa"] {
        assert!(!packages.contains(&barred), "{barred} is in the tree");
    }
    for single in ["ring", "rustls", "hyper", "tokio", "rusqlite"] {
        assert_eq!(packages.iter().filter(|package| **package == single).count(), 1, "{single}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for package in workspace().packages {
        for source in sources(&package) {
            let text = std::fs::read_to_string(&source).unwrap();
            // A file of one line has nothing to explain.
            let explains = text.starts_with("//! ") || text.lines().count() <= 1;
            assert!(explains, "{} does not begin with what it is for (//! …)", source.display());
        }
    }
}

#[test]
fn every_package_is_under_the_lints_of_the_workspace() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, lints) = manifest.split_once("[workspace.lints.rust]").expect("the workspace has lints");
    assert!(lints.lines().any(|line| line.starts_with("unsafe_code = \"forbid\"")), "unsafe code is not forbidden");
    for package in workspace().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{} is under no lints", package.name);
    }
}
