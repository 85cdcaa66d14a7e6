//! What the server says of its own times: the `…_seconds` histograms of its `/metrics`, before and after the load. It must not
//! know which of them matter.

use measure::ServerTime;
use std::collections::BTreeMap;

/// Sum (seconds) and count of each histogram, over all its series of one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerTimes(BTreeMap<String, (f64, f64)>);

impl ServerTimes {
    /// Out of a page in Prometheus' text format. Series that name another model are left out.
    #[must_use]
    pub fn parse(page: &str, model: &str) -> Self {
        let mut halves: BTreeMap<&str, [Option<f64>; 2]> = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = split(line) else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let (base, is_sum) = match (name.strip_suffix("_sum"), name.strip_suffix("_count")) {
                (Some(base), _) => (base, true),
                (_, Some(base)) => (base, false),
                _ => continue,
            };
            let is_another = labels.contains("model_name=\"") && !labels.contains(&format!("model_name=\"{model}\""));
            if !base.ends_with("_seconds") || is_another || !value.is_finite() {
                continue;
            }
            let [sum_s, count] = halves.entry(base).or_default();
            let half = if is_sum { sum_s } else { count };
            *half = Some(half.unwrap_or_default() + value);
        }
        let whole = halves.into_iter().filter_map(|(name, [sum_s, count])| Some((name.to_owned(), (sum_s?, count?))));
        Self(whole.collect())
    }

    /// How many requests the server has counted since, where it counts them: by the histogram that lags, of that of first tokens
    /// and that of whole answers.
    #[must_use]
    pub fn counted_since(&self, before: &Self) -> Option<u64> {
        let grown = |end: &str| {
            let (name, (_, count)) = self.0.iter().find(|(name, _)| name.ends_with(end))?;
            let (_, count_before) = before.0.get(name).copied().unwrap_or_default();
            Some((count - count_before).max(0.0) as u64)
        };
        [ServerTime::TTFT, ServerTime::END_TO_END].into_iter().filter_map(grown).min()
    }

    /// What has come to each since: how many, and their mean. Histograms that have not moved are left out, and those that
    /// went back: the server was started anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<ServerTime> {
        let moved = self.0.iter().filter_map(|(name, (sum_s, count))| {
            let (sum_before_s, count_before) = before.0.get(name).copied().unwrap_or_default();
            let (n, total_s) = (count - count_before, sum_s - sum_before_s);
            (n >= 1.0 && total_s >= 0.0).then(|| ServerTime {
                name: name.clone(),
                n: n as u64,
                mean_ns: (total_s / n * 1e9).round() as u64,
            })
        });
        moved.collect()
    }
}

/// `name{labels} value [time]`; a label may hold spaces and braces.
fn split(line: &str) -> Option<(&str, f64)> {
    let end = match line.find('{') {
        Some(_) => line.rfind('}')? + 1,
        None => line.find(char::is_whitespace)?,
    };
    let value = line.get(end..)?.split_whitespace().next()?.parse().ok()?;
    Some((&line[..end], value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 1.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 0.5
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 2.0
vllm:time_to_first_token_seconds_sum{engine="1",model_name="m"} 0.25
vllm:time_to_first_token_seconds_count{engine="1",model_name="m"} 1.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="another {m"} 9
vllm:time_to_first_token_seconds_count{engine="0",model_name="another {m"} 9
vllm:prompt_tokens_total{engine="0",model_name="m"} 30
still_seconds_sum 1
still_seconds_count 1
restarted_seconds_sum 7
restarted_seconds_count 7
"#;

    #[test]
    fn what_came_between_two_pages() {
        let before = ServerTimes::parse(BEFORE, "m");
        // Engine 0: two more of 0.75 s together; engine 1: one of 0.15 s. (0.75 + 0.15) / 3 = 0.3 s.
        let after = BEFORE
            .replace("\"m\"} 0.5\n", "\"m\"} 1.25\n")
            .replace("\"m\"} 2.0\n", "\"m\"} 4.0\n")
            .replace("\"m\"} 0.25\n", "\"m\"} 0.4\n")
            .replace("engine=\"1\",model_name=\"m\"} 1.0\n", "engine=\"1\",model_name=\"m\"} 2.0\n")
            .replace("restarted_seconds_sum 7", "restarted_seconds_sum 2")
            .replace("restarted_seconds_count 7", "restarted_seconds_count 2")
            + "new_seconds_sum 3 1700000000000\nnew_seconds_count 2 1700000000000\n";
        let after = ServerTimes::parse(&after, "m");
        let times = after.since(&before);
        let seen: Vec<(&str, u64, u64)> = times.iter().map(|time| (time.name.as_str(), time.n, time.mean_ns)).collect();
        assert_eq!(seen, [("new_seconds", 2, 1_500_000_000), ("vllm:time_to_first_token_seconds", 3, 300_000_000)]);
        assert_eq!(after.counted_since(&before), Some(3));
        // Whole answers are counted later than first tokens.
        let answers = |count: u64| {
            let page =
                format!("vllm:e2e_request_latency_seconds_sum 1\nvllm:e2e_request_latency_seconds_count {count}\n");
            ServerTimes::parse(&(BEFORE.to_owned() + &page), "m")
        };
        assert_eq!(answers(9).counted_since(&ServerTimes::parse("", "m")), Some(3));
        assert_eq!(answers(9).counted_since(&answers(8)), Some(0));
    }

    #[test]
    fn what_is_no_page_of_metrics_tells_nothing() {
        for page in
            ["", "<html>", "x{", "a_seconds_sum", "a_seconds_sum NaN\na_seconds_count 1", "}{ 1", "a_seconds_sum{ 1"]
        {
            let times = ServerTimes::parse(page, "m");
            let nothing = ServerTimes::default();
            assert_eq!((times.since(&nothing), times.counted_since(&nothing)), (Vec::new(), None), "{page}");
        }
    }
}
