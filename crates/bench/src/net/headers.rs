//! Which headers go out: the benchmark's own, and the user's, which win.

use hyper::header::HeaderMap;

/// `ours`, with every header that the user gives too replaced by all of the user's values for it.
#[must_use]
pub fn overridden(mut ours: HeaderMap, users: &HeaderMap) -> HeaderMap {
    for name in users.keys() {
        ours.remove(name);
    }
    for (name, value) in users {
        ours.append(name, value.clone());
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{ACCEPT, HeaderName, HeaderValue, USER_AGENT};

    fn map(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_users_win_and_repeat() {
        let tag = HeaderName::from_static("x-tag");
        let mut users = map(&[(USER_AGENT, "mine")]);
        users.append(tag.clone(), HeaderValue::from_static("a"));
        users.append(tag.clone(), HeaderValue::from_static("b"));
        let all = overridden(map(&[(USER_AGENT, "ours"), (ACCEPT, "x/y"), (tag.clone(), "ours")]), &users);
        let of = |name: &HeaderName| all.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>();
        assert_eq!((of(&USER_AGENT), of(&ACCEPT), of(&tag)), (vec!["mine"], vec!["x/y"], vec!["a", "b"]));
    }
}
