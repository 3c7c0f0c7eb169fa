//! Prometheus: scrapes, evaluates rules, and is asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dir::{Dir, tail};
use crate::eventually::poll;
use crate::port::Port;
use crate::process::Process;

/// From one scrape to the next, and from one evaluation of the rules to the next.
const INTERVAL: Duration = Duration::from_secs(1);
const CONFIGURATION: &str = "prometheus.yaml";
/// For a server on a machine that does much else.
const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);

/// A Prometheus that scrapes what it is told to, once a second. Dropping it stops it.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    began: SystemTime,
    jobs: Mutex<Vec<Value>>,
    // Before the directory and the port, which it uses.
    process: Process,
    _port: Port,
    dir: Dir,
}

/// A series and its values that are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Its labels, and `__name__` where it has one.
    pub labels: BTreeMap<String, String>,
    /// One of an instant, one for each step of a range.
    pub values: Vec<f64>,
}

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// What somebody reads.
    pub annotations: BTreeMap<String, String>,
    /// Or else pending.
    pub firing: bool,
}

impl Prometheus {
    /// Starts one with these files of rules.
    ///
    /// # Panics
    /// When it is not installed, does not take the rules or does not start; the message holds the end of its log.
    pub async fn start(rules: &[&str]) -> Self {
        let (dir, port) = (Dir::new("prometheus"), Port::free());
        for (n, rules) in rules.iter().enumerate() {
            fs::write(dir.path().join(format!("{n}.rules.yaml")), rules).expect("writing rules");
        }
        fs::write(dir.path().join(CONFIGURATION), configuration(&[])).expect("writing the configuration");
        let log = fs::File::create(dir.path().join("log")).expect("making Prometheus' log");
        let mut command = Command::new(binary());
        command
            .arg(format!("--config.file={CONFIGURATION}"))
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={}", port.addr()))
            .arg("--log.level=warn")
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let process = Process::spawn(&mut command).expect("starting prometheus");
        let (url, client) = (format!("http://{}", port.addr()), client());
        let began = SystemTime::now();
        let prometheus = Self { url, client, began, jobs: Mutex::default(), process, _port: port, dir };
        let up = poll(START, async || {
            let status = prometheus.process.status();
            assert!(status.is_none(), "Prometheus ended with {status:?}\n{}", prometheus.log());
            let ready = prometheus.client.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            ready.status().is_success().then_some(())
        });
        assert!(up.await.is_some(), "Prometheus at {} is not ready\n{}", prometheus.url, prometheus.log());
        prometheus
    }

    /// Has it scrape one more address from now on, whether somebody is there or not. The series get these labels.
    pub fn watch(&self, url: &str, labels: &[(&str, &str)]) {
        let url: reqwest::Url = url.parse().expect("a URL");
        let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            asked.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let address = format!("{}:{}", url.host_str().expect("a host"), url.port_or_known_default().expect("a port"));
        let mut jobs = self.jobs.lock().unwrap();
        let job = json!({
            "job_name": format!("job-{}", jobs.len()), "metrics_path": url.path(), "params": asked,
            "static_configs": [{"targets": [address], "labels": labels}],
        });
        jobs.push(job);
        fs::write(self.dir.path().join(CONFIGURATION), configuration(&jobs)).expect("writing the configuration");
        self.process.signal(Signal::HUP);
    }

    /// Waits until it has scraped an address that it was told of.
    ///
    /// # Panics
    /// When it could not within a minute.
    pub async fn has_scraped(&self, url: &str) {
        let last = Mutex::new(Value::Null);
        let up = poll(START, async || {
            let targets = self.get("targets", &[("state", "active")]).await?;
            let target = targets["activeTargets"].as_array()?.iter().find(|target| target["scrapeUrl"] == url)?;
            *last.lock().unwrap() = target["lastError"].clone();
            (target["health"] == "up").then_some(())
        });
        assert!(up.await.is_some(), "Prometheus can't scrape {url}: {}\n{}", last.lock().unwrap(), self.log());
    }

    /// What a query gives now.
    pub async fn query(&self, query: &str) -> Vec<Answered> {
        let data = self.asked("query", &[("query", query)]).await;
        series(&data, |series| vec![series["value"].clone()])
    }

    /// What it gave in each second since the start.
    pub async fn query_since_start(&self, query: &str) -> Vec<Answered> {
        let [start, end] = [self.began, SystemTime::now()]
            .map(|time| time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64().to_string());
        let data =
            self.asked("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", "1")]).await;
        series(&data, |series| series["values"].as_array().cloned().unwrap_or_default())
    }

    /// Alerts that are pending or firing now.
    pub async fn alerts(&self) -> Vec<Alert> {
        let data = self.asked("alerts", &[]).await;
        let texts = |value: &Value| serde_json::from_value(value.clone()).expect("texts by name");
        let alert = |alert: &Value| Alert {
            name: alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned(),
            labels: texts(&alert["labels"]),
            annotations: texts(&alert["annotations"]),
            firing: alert["state"] == "firing",
        };
        data["alerts"].as_array().expect("a list of alerts").iter().map(alert).collect()
    }

    /// Waits until this alert fires.
    ///
    /// # Panics
    /// When it does not in time: the message has what is pending or firing instead.
    pub async fn firing(&self, name: &str, within: Duration) -> Alert {
        let found =
            poll(within, async || self.alerts().await.into_iter().find(|alert| alert.name == name && alert.firing));
        match found.await {
            Some(alert) => alert,
            None => panic!("{name} does not fire within {within:?}, but {:?}\n{}", self.alerts().await, self.log()),
        }
    }

    /// Rules that could not be evaluated at last, by name, with the reason.
    pub async fn rules_in_trouble(&self) -> Vec<(String, String)> {
        let data = self.asked("rules", &[]).await;
        let rules =
            data["groups"].as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array()).flatten();
        let bad = rules.filter(|rule| rule["health"] != "ok");
        bad.map(|rule| (rule["name"].to_string(), format!("{} {}", rule["health"], rule["lastError"]))).collect()
    }

    /// What it complained of, scrapes whose samples it did not take among it.
    pub fn log(&self) -> String {
        tail(&self.dir.path().join("log"))
    }

    async fn asked(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.get(what, parameters).await;
        answer.unwrap_or_else(|| panic!("Prometheus does not answer {what} {parameters:?}\n{}", self.log()))
    }

    async fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{what}", self.url), parameters).expect("a URL");
        let answer: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        assert!(answer["status"] == "success", "{what} {parameters:?}: {answer}");
        Some(answer["data"].clone())
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(ANSWER).build().expect("a client")
}

fn series(data: &Value, values: impl Fn(&Value) -> Vec<Value>) -> Vec<Answered> {
    let all = data["result"].as_array().expect("series").iter().map(|series| {
        let numbers = values(series).into_iter().filter_map(|point| point[1].as_str()?.parse::<f64>().ok());
        let labels = serde_json::from_value(series["metric"].clone()).expect("texts by name");
        Answered { labels, values: numbers.filter(|number| !number.is_nan()).collect() }
    });
    all.filter(|series| !series.values.is_empty()).collect()
}

/// JSON, which is YAML as well.
fn configuration(jobs: &[Value]) -> String {
    let interval = format!("{}s", INTERVAL.as_secs());
    let global = json!({"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval});
    json!({"global": global, "rule_files": ["*.rules.yaml"], "scrape_configs": jobs}).to_string()
}

/// That of the machine, or what `scripts/setup` fetched: beside the builds, in CI beside cargo.
fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let me = std::env::current_exe().expect("the path of this program");
    let builds = me.ancestors().skip(1).map(|dir| dir.join("tools/bin"));
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home).map(|dir| dir.join("sluice-tools/bin"));
    let mut all = std::env::split_paths(&path).chain(builds).chain(cargo).map(|dir| dir.join("prometheus"));
    all.find(|file| file.is_file()).expect("Prometheus is not installed: `scripts/setup prometheus`")
}
