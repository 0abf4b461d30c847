//! The table against a naive matcher, over random edits.

use std::{collections::BTreeMap, sync::Arc};

use flexgate_schemas::{Route, RouteId};
use http::{HeaderMap, Method};
use proptest::{collection::vec, option, prelude::*};
use serde_json::json;

use super::{
    Found, Table, Target,
    arbitrary::{Request, request, route, route_id},
    naive,
};

#[derive(Debug, Clone)]
enum Edit {
    Insert(Box<Route>),
    Remove(RouteId),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => route().prop_map(|route| Edit::Insert(Box::new(route))),
        1 => route_id().prop_map(Edit::Remove),
    ];
    vec(edit, 0..80)
}

/// The routes after some edits, in a table and in a plain map.
#[derive(Default, Clone)]
struct Both {
    table: Table<Arc<Route>>,
    plain: BTreeMap<RouteId, Arc<Route>>,
}

impl Both {
    fn edited(edits: &[Edit]) -> Self {
        let mut both = Self::default();
        both.edit(edits);
        both
    }

    fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            match edit {
                Edit::Insert(route) => {
                    let route: Arc<Route> = Arc::new((**route).clone());
                    self.table.insert(route.clone());
                    self.plain.insert(route.id.clone(), route);
                }
                Edit::Remove(id) => {
                    if let Some(route) = self.plain.remove(id) {
                        self.table.remove(&route);
                    }
                }
            }
        }
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        self.plain.values().cloned().collect()
    }

    fn agree_on(&self, requests: &[Request]) -> Result<(), TestCaseError> {
        let routes = self.routes();
        for request in requests {
            prop_assert_eq!(
                self.table.find(&request.target()),
                naive::find(&routes, &request.target()),
                "{:?}",
                request
            );
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_table_finds_what_looking_at_every_route_finds(
        edits in edits(),
        requests in vec(request(), 20),
    ) {
        let both = Both::edited(&edits);
        prop_assert_eq!(both.table.len(), both.plain.values().filter(|route| route.enabled).count());
        both.agree_on(&requests)?;
    }

    #[test]
    fn an_edit_does_not_show_in_a_table_cloned_before(
        before in edits(),
        after in edits(),
        requests in vec(request(), 10),
    ) {
        let both = Both::edited(&before);
        let mut edited = both.clone();
        edited.edit(&after);
        both.agree_on(&requests)?;
        edited.agree_on(&requests)?;
    }

    #[test]
    fn a_shadowed_route_never_wins(
        edits in edits(),
        shadowed in route(),
        requests in vec(request(), 20),
    ) {
        let mut both = Both::edited(&edits);
        let shadowed = Route { enabled: true, ..shadowed };
        both.edit(&[Edit::Insert(Box::new(shadowed.clone()))]);
        if let Some(shadow) = both.table.shadowed_by(&shadowed) {
            prop_assert!(shadow.enabled && shadow.id != shadowed.id);
            for request in &requests {
                if let Found::Rule(winner) = both.table.find(&request.target()) {
                    prop_assert_ne!(&winner.id, &shadowed.id);
                }
            }
        }
    }

    #[test]
    fn what_covers_a_route_and_outranks_it_is_found_as_its_shadow(
        edits in edits(),
        route in route(),
        lift in 1..3_i64,
    ) {
        let mut both = Both::edited(&edits);
        let priority = i64::from(route.priority.get()) + lift;
        let shadow = Route {
            id: "shadow".parse().unwrap(),
            enabled: true,
            priority: priority.try_into().unwrap(),
            ..route.clone()
        };
        both.edit(&[Edit::Insert(Box::new(shadow))]);
        prop_assert!(both.table.shadowed_by(&route).is_some());
    }

    #[test]
    fn nothing_is_left_of_routes_that_are_removed(edits in edits()) {
        let mut both = Both::edited(&edits);
        for route in both.routes() {
            both.table.remove(&route);
        }
        prop_assert!(both.table.is_empty() && both.table.trie().is_bare());
    }
}

fn table(routes: &[(&str, &str)]) -> Table<Arc<Route>> {
    let mut table = Table::new();
    for (id, written) in routes {
        let (host, path) = written.split_at(written.find('/').unwrap());
        let host = Some(host).filter(|host| !host.is_empty());
        let mut route = Route::new(id.parse().unwrap(), path.parse().unwrap(), "u".parse().unwrap());
        route.host = host.map(|host| host.parse().unwrap());
        table.insert(Arc::new(route));
    }
    table
}

/// The route that takes a GET of this host and path.
fn taken_by(table: &Table<Arc<Route>>, host: &str, path: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let request = Target {
        host,
        path,
        query: None,
        method: &Method::GET,
        headers: &headers,
    };
    match table.find(&request) {
        Found::Rule(route) => Some(route.id.to_string()),
        Found::MethodNotAllowed(_) | Found::Nothing => None,
    }
}

#[test]
fn a_prefix_takes_itself_and_everything_below_and_nothing_beside() {
    let table = table(&[("api", "/api/*")]);
    for (path, expected) in [
        ("/api", true),
        ("/api/", true),
        ("/api//", true),
        ("/api/a/b", true),
        ("/apix", false),
        ("/", false),
        ("/ap", false),
        ("*", false),
    ] {
        assert_eq!(taken_by(&table, "", path).is_some(), expected, "{path}");
    }
}

#[test]
fn a_trailing_slash_makes_another_path() {
    let table = table(&[
        ("without", "/a"),
        ("with", "/a/"),
        ("root", "/"),
        ("named", "/b/:id"),
    ]);
    assert_eq!(taken_by(&table, "", "/a").unwrap(), "without");
    assert_eq!(taken_by(&table, "", "/a/").unwrap(), "with");
    assert_eq!(taken_by(&table, "", "/").unwrap(), "root");
    assert_eq!(taken_by(&table, "", "/b/"), None);
}

#[test]
fn the_asterisk_of_options_is_taken_by_everything_below_the_root_only() {
    assert_eq!(
        taken_by(&table(&[("all", "/*"), ("named", "/:any")]), "", "*").unwrap(),
        "all"
    );
    assert_eq!(
        taken_by(&table(&[("named", "/:any"), ("root", "/")]), "", "*"),
        None
    );
}

#[test]
fn a_host_whose_routes_do_not_fit_falls_through_to_wider_ones() {
    let table = table(&[
        ("exact", "api.example.com/a"),
        ("near", "*.example.com/b"),
        ("far", "*.com/c"),
        ("any", "/*"),
    ]);
    for (host, path, expected) in [
        ("api.example.com", "/a", "exact"),
        ("api.example.com", "/b", "near"),
        ("api.example.com", "/c", "far"),
        ("api.example.com", "/d", "any"),
        ("example.com", "/b", "any"),
        ("x.y.example.com", "/b", "near"),
        ("", "/a", "any"),
    ] {
        assert_eq!(taken_by(&table, host, path).unwrap(), expected, "{host}{path}");
    }
}

#[test]
fn a_walk_that_ends_nowhere_takes_the_next_best_branch() {
    let table = table(&[
        ("literal", "/a/b/c"),
        ("named", "/a/:x/d"),
        ("rest", "/a/*"),
        ("other", "/:y/b/e"),
    ]);
    assert_eq!(taken_by(&table, "", "/a/b/c").unwrap(), "literal");
    assert_eq!(taken_by(&table, "", "/a/b/d").unwrap(), "named");
    assert_eq!(taken_by(&table, "", "/a/b/e").unwrap(), "rest");
    assert_eq!(taken_by(&table, "", "/z/b/e").unwrap(), "other");
}

#[test]
fn a_route_that_moves_or_is_switched_off_leaves_its_old_place() {
    let mut table = table(&[("r", "a.test/a"), ("s", "/s")]);
    let moved = Route::new("r".parse().unwrap(), "/b".parse().unwrap(), "u".parse().unwrap());
    table.insert(Arc::new(moved.clone()));
    assert_eq!(taken_by(&table, "a.test", "/a"), None);
    assert_eq!(taken_by(&table, "a.test", "/b").unwrap(), "r");
    table.insert(Arc::new(Route {
        enabled: false,
        ..moved
    }));
    assert_eq!((taken_by(&table, "a.test", "/b"), table.len()), (None, 1));
}

#[test]
fn methods_are_only_refused_where_everything_else_fits() {
    let route = |json: serde_json::Value| Arc::new(serde_json::from_value::<Route>(json).unwrap());
    let mut table = Table::new();
    table.insert(route(
        json!({ "id": "1", "path": "/a", "methods": ["PUT"], "upstream": "u" }),
    ));
    table.insert(route(
        json!({ "id": "2", "path": "/:x", "methods": ["POST", "PUT"], "upstream": "u" }),
    ));
    table.insert(route(
        json!({ "id": "3", "path": "/a", "methods": ["DELETE"], "upstream": "u",
                               "match": { "query": [{ "name": "q" }] } }),
    ));
    let headers = HeaderMap::new();
    let find = |path, query| {
        let request = Target {
            host: "",
            path,
            query,
            method: &Method::GET,
            headers: &headers,
        };
        match table.find(&request) {
            Found::Rule(route) => route.id.to_string(),
            Found::MethodNotAllowed(methods) => methods.to_string(),
            Found::Nothing => "nothing".to_owned(),
        }
    };
    assert_eq!(find("/a", None), "POST, PUT");
    assert_eq!(find("/a", Some("q")), "POST, PUT, DELETE");
    assert_eq!(find("/a/b", None), "nothing");
}

#[test]
fn a_priority_beats_specificity_wherever_it_stands() {
    let mut table = table(&[("literal", "a.test/x/y")]);
    let mut wide = Route::new(
        "wide".parse().unwrap(),
        "/*".parse().unwrap(),
        "u".parse().unwrap(),
    );
    wide.priority = 1.try_into().unwrap();
    table.insert(Arc::new(wide.clone()));
    assert_eq!(taken_by(&table, "a.test", "/x/y").unwrap(), "wide");
    table.remove(&wide);
    assert_eq!(taken_by(&table, "a.test", "/x/y").unwrap(), "literal");
}

proptest! {
    #[test]
    fn among_many_children_the_highest_priority_is_never_lost(
        edits in vec((0..30_usize, option::of(-3..3_i64)), 0..200),
    ) {
        let mut both = Both::default();
        for (number, priority) in edits {
            let id: RouteId = format!("r{number}").parse().unwrap();
            let path = format!("/{number}/:x").parse().unwrap();
            both.edit(&[match priority {
                None => Edit::Remove(id),
                Some(priority) => Edit::Insert(Box::new(Route {
                    priority: priority.try_into().unwrap(),
                    ..Route::new(id, path, "u".parse().unwrap())
                })),
            }]);
            let highest = both.plain.values().map(|route| route.priority).max();
            prop_assert_eq!(both.table.trie().highest_priority(), highest);
        }
    }
}
