//! Registrations: one by one from here, or many from a pod in the cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};

use crate::forward::Forward;
use crate::pods;
use crate::sluice::{Sluice, USER_API};
use crate::wait::until;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a long enough one";

/// Registers one user from here, over a port-forward to user-api. Returns the answer's body.
pub async fn register(sluice: &Sluice, name: &str, headers: &[(&str, &str)]) -> Value {
    let way = Forward::to(sluice.pods.clone(), "app.kubernetes.io/component=user-api", 8080).await;
    let mut request = reqwest::Client::new().post(format!("{}/v1/users", way.url())).timeout(Duration::from_secs(30));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
    let answer = request.json(&body).send().await.expect("user-api answers");
    assert_eq!(answer.status(), 201, "registering {name}");
    answer.json().await.unwrap()
}

/// What was answered to one registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The address that was to be registered.
    pub email: String,
    /// The HTTP status; `refused` without a connection, `none` without an answer.
    pub status: String,
}

/// Registrations from a pod beside the system: they go through the Service, as those of other pods do.
pub struct Load {
    pods: Api<Pod>,
    name: String,
}

/// The label of pods that may register people, and ask for mails.
pub const LOAD: &str = "load";

/// So many at most, so that a load that nobody ends does end.
const LIMIT: usize = 20_000;

/// Registers NAME-0, NAME-1, .. until COUNT is reached or /tmp/stop exists. One line an answer: number and status. It begins when the
/// way is open: network policies let a new pod through only a moment after its start.
const SCRIPT: &str = r#"
trap '' PIPE
register() {
  local name=$NAME-$1 status=none body
  body='{"username":"'$name'","email":"'$name'@example.com","password":"'"$PASSWORD"'"}'
  if ! { exec 3<>"/dev/tcp/$HOST/80"; } 2>/dev/null; then echo "$1 refused"; return; fi
  printf 'POST /v1/users HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
    "$HOST" "${#body}" "$body" >&3 2>/dev/null
  IFS=' ' read -r -t 30 _ status _ <&3 || true
  while read -r -t 5 _ <&3; do :; done
  exec 3>&-
  echo "$1 ${status:-none}"
}
reach() { { exec 3<>"/dev/tcp/$HOST/80"; } 2>/dev/null && exec 3>&-; }
for ((try = 0; try < 100; try++)); do if reach; then break; else sleep 0.2; fi; done
for ((slot = 0; slot < AT_ONCE; slot++)); do
  for ((n = slot; n < COUNT; n += AT_ONCE)); do
    [ ! -e /tmp/stop ] || break
    register "$n"
    [ "$PAUSE" = 0 ] || sleep "$PAUSE"
  done &
done
wait
"#;

impl Load {
    /// Registers `count` users, `at_once` at a time.
    pub async fn of(sluice: &Sluice, name: &str, count: usize, at_once: usize) -> Self {
        Self::start(sluice, name, count, at_once, "0").await
    }

    /// Registers `at_once` users again and again, with a pause of so many seconds after each, until it is ended.
    pub async fn until_ended(sluice: &Sluice, name: &str, at_once: usize, pause: &str) -> Self {
        Self::start(sluice, name, LIMIT, at_once, pause).await
    }

    async fn start(sluice: &Sluice, name: &str, count: usize, at_once: usize, pause: &str) -> Self {
        let pod = format!("load-{name}");
        let (count, at_once) = (count.to_string(), at_once.to_string());
        let environment = [
            ("HOST", USER_API),
            ("NAME", name),
            ("PASSWORD", PASSWORD),
            ("COUNT", &*count),
            ("AT_ONCE", &*at_once),
            ("PAUSE", pause),
        ];
        pods::run_script(&sluice.pods, &pod, &json!({ pods::OURS: LOAD }), SCRIPT, &environment).await;
        Self { pods: sluice.pods.clone(), name: name.to_owned() }
    }

    fn pod(&self) -> String {
        format!("load-{}", self.name)
    }

    /// Answers so far.
    pub async fn answers(&self) -> Vec<Answer> {
        answers(&self.name, &pods::logs(&self.pods, &self.pod()).await)
    }

    /// Waits until there are so many answers.
    pub async fn answered(&self, count: usize, within: Duration) {
        until(&format!("{count} registrations are answered"), within, async || {
            let so_far = self.answers().await.len();
            if so_far >= count { Ok(()) } else { Err(format!("{so_far} so far")) }
        })
        .await;
    }

    /// Waits for the end of a load of a certain count.
    pub async fn finished(self, within: Duration) -> Vec<Answer> {
        answers(&self.name, &pods::finished(&self.pods, &self.pod(), within).await)
    }

    /// Ends the load: what was asked is still answered.
    pub async fn end(self) -> Vec<Answer> {
        pods::exec(&self.pods, &self.pod(), "script", &["touch", "/tmp/stop"]).await.expect("the load runs");
        self.finished(Duration::from_secs(60)).await
    }
}

/// The addresses that were answered 201.
pub fn registered(answers: &[Answer]) -> BTreeSet<String> {
    answers.iter().filter(|answer| answer.status == "201").map(|answer| answer.email.clone()).collect()
}

fn answers(name: &str, log: &str) -> Vec<Answer> {
    let answer = |line: &str| {
        let (n, status) = line.split_once(' ')?;
        n.parse::<usize>().ok()?;
        Some(Answer { email: format!("{name}-{n}@example.com"), status: status.to_owned() })
    };
    log.lines().filter_map(answer).collect()
}
