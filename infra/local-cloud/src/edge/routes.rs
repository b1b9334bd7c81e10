//! Which route a request takes: the most specific path first, then the route's own method before `ANY`, and `$default`
//! when nothing else matches.
//!
//! Segment by segment a literal comes before `{variable}`, and that before `{greedy+}`. Paths are compared as they are
//! written between the slashes, decoded once; `/a` and `/a/` are two paths.

use std::collections::BTreeMap;

use super::text::percent_decoded;
use crate::stack::Route;

/// A route that matched, with its path variables decoded.
#[derive(Debug)]
pub(super) struct Match<'a> {
    pub(super) route: &'a Route,
    pub(super) variables: BTreeMap<String, String>,
}

impl Match<'_> {
    /// `GET /things/{id}`, or `$default`.
    pub(super) fn key(&self) -> String {
        let Route { method, path, .. } = self.route;
        if path == DEFAULT { DEFAULT.to_owned() } else { format!("{method} {path}") }
    }
}

const DEFAULT: &str = "$default";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Literal,
    Variable,
    Greedy,
}

/// `path` is what follows the stage.
pub(super) fn find<'a>(routes: &'a [Route], method: &str, path: &str) -> Option<Match<'a>> {
    let candidates = routes.iter().filter(|route| route.method == "ANY" || route.method == method);
    let matching = candidates.filter_map(|route| {
        let (specificity, variables) = matches(&route.path, path)?;
        Some(((specificity, route.method == "ANY"), Match { route, variables }))
    });
    let best = matching.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, found)| found);
    best.or_else(|| {
        let route = routes.iter().find(|route| route.path == DEFAULT)?;
        Some(Match { route, variables: BTreeMap::new() })
    })
}

fn matches(pattern: &str, path: &str) -> Option<(Vec<Specificity>, BTreeMap<String, String>)> {
    let mut specificity = Vec::new();
    let mut variables = BTreeMap::new();
    let mut rest = path.strip_prefix('/')?;
    let mut wanted = pattern.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = wanted.next() {
        if let Some(name) = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix("+}")) {
            if rest.is_empty() {
                return None;
            }
            specificity.push(Specificity::Greedy);
            variables.insert(name.to_owned(), percent_decoded(rest));
            return Some((specificity, variables));
        }
        let (here, behind) = rest.split_once('/').map_or((rest, None), |(here, behind)| (here, Some(behind)));
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(_) if here.is_empty() => return None,
            Some(name) => {
                specificity.push(Specificity::Variable);
                variables.insert(name.to_owned(), percent_decoded(here));
            }
            None if percent_decoded(here) != segment => return None,
            None => specificity.push(Specificity::Literal),
        }
        match (behind, wanted.peek()) {
            (Some(behind), Some(_)) => rest = behind,
            (None, None) => return Some((specificity, variables)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(keys: &[&str]) -> Vec<Route> {
        let route = |key: &&str| {
            let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
            Route { method: method.into(), path: path.into(), function: "F".into(), authorizer: None }
        };
        keys.iter().map(route).collect()
    }

    #[track_caller]
    fn takes(routes: &[Route], request: &str, expected: &str) {
        let (method, path) = request.split_once(' ').unwrap();
        let found = find(routes, method, path).map(|found| found.key());
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected, "{request}");
    }

    #[test]
    fn the_most_specific_route_is_taken() {
        let all = routes(&[
            "$default",
            "ANY /{proxy+}",
            "GET /pets/{proxy+}",
            "GET /pets/dog/{id}",
            "GET /pets/dog/1",
            "ANY /pets/cat",
            "GET /pets/{kind}",
            "GET /{any}/dog/3/tail",
        ]);
        // The first four are the documented example.
        takes(&all, "GET /pets/dog/1", "GET /pets/dog/1");
        takes(&all, "GET /pets/dog/2", "GET /pets/dog/{id}");
        takes(&all, "GET /pets/cat/1", "GET /pets/{proxy+}");
        takes(&all, "POST /test/5", "ANY /{proxy+}");
        takes(&all, "GET /pets/cat", "ANY /pets/cat");
        takes(&all, "GET /pets/owl", "GET /pets/{kind}");
        takes(&all, "PUT /pets/owl", "ANY /{proxy+}");
        takes(&all, "GET /pets/dog/3/tail", "GET /pets/{proxy+}");
        takes(&all, "GET /", "$default");
        takes(&all, "GET /%70ets/dog/1", "GET /pets/dog/1");
    }

    #[test]
    fn the_routes_own_method_comes_before_any() {
        let all = routes(&["ANY /a", "GET /a", "ANY /b"]);
        takes(&all, "GET /a", "GET /a");
        takes(&all, "POST /a", "ANY /a");
        takes(&all, "DELETE /b", "ANY /b");
    }

    #[test]
    fn what_matches_nothing_is_nothing() {
        let all = routes(&["GET /a", "GET /a/{b}", "GET /files/{rest+}", "GET /root/{x}/end", "GET /"]);
        for request in [
            "POST /a",
            "GET /a/",
            "GET /a/b/c",
            "GET /A",
            "GET /files",
            "GET /files/",
            "GET /root//end",
            "GET *",
            "get /a",
        ] {
            takes(&all, request, "nothing");
        }
        takes(&all, "GET /", "GET /");
    }

    #[test]
    fn variables_are_decoded_and_a_slash_that_is_encoded_divides_nothing() {
        let all = routes(&["GET /a/{one}/{rest+}"]);
        let found = find(&all, "GET", "/a/x%2Fy%20z/b/c%C3%A4").unwrap();
        let expected = [("one", "x/y z"), ("rest", "b/cä")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.variables, BTreeMap::from(expected));
    }
}
