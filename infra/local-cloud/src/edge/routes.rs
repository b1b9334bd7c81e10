//! Which route a request takes: a full match before one by a greedy variable, then the more specific path, then the
//! route's own method before `ANY`, and `$default` when nothing else matches.
//!
//! Segment by segment a literal comes before a variable. The path comes decoded, so an encoded slash is a slash; `/a`
//! and `/a/` are two paths.

use std::collections::BTreeMap;

use crate::stack::Route;

/// A route that matched, with its path variables.
#[derive(Debug)]
pub(super) struct Match<'a> {
    pub(super) route: &'a Route,
    /// What follows the stage.
    pub(super) path: &'a str,
    pub(super) variables: BTreeMap<String, String>,
}

impl Match<'_> {
    /// `GET /things/{id}`, or `$default`.
    pub(super) fn key(&self) -> String {
        self.route.key()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Literal,
    Variable,
    Greedy,
}

/// `path` is what follows the stage, decoded.
pub(super) fn find<'a>(routes: &'a [Route], method: &str, path: &'a str) -> Option<Match<'a>> {
    let candidates = routes.iter().filter(|route| route.method == "ANY" || route.method == method);
    let matching = candidates.filter_map(|route| {
        let (specificity, variables) = matches(&route.path, path)?;
        let is_greedy = specificity.contains(&Specificity::Greedy);
        Some(((is_greedy, specificity, route.method == "ANY"), Match { route, path, variables }))
    });
    let best = matching.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, found)| found);
    best.or_else(|| {
        let route = routes.iter().find(|route| route.path == Route::DEFAULT)?;
        Some(Match { route, path, variables: BTreeMap::new() })
    })
}

fn matches(pattern: &str, path: &str) -> Option<(Vec<Specificity>, BTreeMap<String, String>)> {
    let mut specificity = Vec::new();
    let mut variables = BTreeMap::new();
    let mut rest = path.strip_prefix('/')?;
    let mut wanted = pattern.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = wanted.next() {
        if let Some(name) = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix("+}")) {
            specificity.push(Specificity::Greedy);
            variables.insert(name.to_owned(), rest.to_owned());
            return Some((specificity, variables));
        }
        let (here, behind) = rest.split_once('/').map_or((rest, None), |(here, behind)| (here, Some(behind)));
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(_) if here.is_empty() => return None,
            Some(name) => {
                specificity.push(Specificity::Variable);
                variables.insert(name.to_owned(), here.to_owned());
            }
            None if here != segment => return None,
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
            let (method, path, function) = (method.into(), path.into(), "F".into());
            Route { method, path, function, authorizer: None, timeout_ms: 30_000 }
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
        takes(&all, "GET /pets/dog/3/tail", "GET /{any}/dog/3/tail");
        takes(&all, "GET /pets/dog/4/tail", "GET /pets/{proxy+}");
        takes(&all, "GET /", "ANY /{proxy+}");
        takes(&all, "GET *", "$default");
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
        for request in ["POST /a", "GET /a/", "GET /a/b/c", "GET /A", "GET /files", "GET /root//end", "GET *", "get /a"]
        {
            takes(&all, request, "nothing");
        }
        takes(&all, "GET /", "GET /");
    }

    #[test]
    fn a_greedy_variable_takes_the_rest_as_it_is_and_may_be_empty() {
        let all = routes(&["GET /a/{one}/{rest+}"]);
        let variables = |path| find(&all, "GET", path).map(|found| found.variables);
        let of = |one: &str, rest: &str| {
            Some(BTreeMap::from([("one".to_owned(), one.to_owned()), ("rest".to_owned(), rest.to_owned())]))
        };
        assert_eq!(variables("/a/x y/b/cä"), of("x y", "b/cä"));
        assert_eq!(variables("/a/x//b/"), of("x", "/b/"));
        assert_eq!(variables("/a/x/"), of("x", ""));
        assert_eq!(variables("/a/x"), None);
    }
}
