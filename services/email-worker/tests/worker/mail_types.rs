//! Mails of a team's own types: files that come, change and are wrong, tasks that do not fit them, and mails whose time is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::{TaskId, header, queue};
use serde_json::{Value, json};
use testkit::lapin::BasicProperties;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Dir, Script, Stage, eventually};

use crate::helpers::{PATIENCE, Running, World, registration};

/// The directory of a ConfigMap: names are links to what lies behind one link, which is swapped as a whole.
struct Mounted {
    directory: Dir,
    generation: u32,
}

impl Mounted {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self { directory: Dir::new("mails"), generation: 0 };
        mounted.becomes(files);
        mounted
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// As the kubelet does it: a new directory, the link to it swapped, then the links of names that are new or gone.
    fn becomes(&mut self, files: &[(&str, &str)]) {
        self.generation += 1;
        let (root, data) = (self.path().to_path_buf(), format!("..generation-{}", self.generation));
        fs::create_dir(root.join(&data)).unwrap();
        for (name, content) in files {
            fs::write(root.join(&data).join(name), content).unwrap();
        }
        std::os::unix::fs::symlink(&data, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        let visible = |entry: &PathBuf| !entry.file_name().unwrap().to_string_lossy().starts_with('.');
        let there: Vec<PathBuf> =
            fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(visible).collect();
        for (name, _) in files {
            if !there.contains(&root.join(name)) {
                std::os::unix::fs::symlink(Path::new("..data").join(name), root.join(name)).unwrap();
            }
        }
        let gone = |path: &&PathBuf| !files.iter().any(|(name, _)| path.ends_with(name));
        there.iter().filter(gone).for_each(|path| fs::remove_file(path).unwrap());
    }
}

const RECEIPT: [(&str, &str); 3] = [
    ("shop.receipt.toml", "[fields]\norder = \"text\"\n\n[sample]\norder = \"A-17\"\n"),
    ("shop.receipt.en.subject", "Your order {{ order }}\n"),
    ("shop.receipt.en.txt", "Thank you, {{ name or \"dear customer\" }}: {{ order }}.\n"),
];

async fn publish(world: &World, mail_type: &str, email: &str, data: &Value, properties: BasicProperties) {
    let body = json!({"email": email, "name": "Ada", "data": data}).to_string();
    world.client.publish(queue::EMAIL, body.as_bytes(), properties.with_type(mail_type.into())).await;
}

async fn order(world: &World, email: &str, order: &str) {
    publish(world, "shop.receipt", email, &json!({"order": order}), registration(TaskId::new())).await;
}

async fn worker_with(world: &World, directory: &Path) -> Running {
    world.worker_with(&[("MAILS_DIR", directory.to_str().unwrap())]).await
}

/// What was sent to somebody: subject and text.
async fn mail_to(world: &World, email: &str) -> (String, String) {
    let what = format!("a mail to {email}");
    let mail = eventually(&what, PATIENCE, async || world.smtp.mails().into_iter().find(|mail| mail.to == [email]));
    let mail = mail.await;
    {
        let parsed = mail.parsed();
        (parsed.subject().unwrap_or_default().to_owned(), parsed.body_text(0).unwrap_or_default().into_owned())
    }
}

#[tokio::test]
async fn a_mail_of_an_own_type_is_sent_and_the_built_in_one_as_ever() {
    let (world, mounted) = (World::new().await, Mounted::new(&RECEIPT));
    let worker = worker_with(&world, mounted.path()).await;
    order(&world, "ada@example.com", "B-1").await;
    world.register("bob@example.com").await;
    let (subject, text) = mail_to(&world, "ada@example.com").await;
    assert_eq!((subject.as_str(), text.trim()), ("Your order B-1", "Thank you, Ada: B-1."));
    assert_eq!(mail_to(&world, "bob@example.com").await.0, "Welcome to Sluice, ada");
    world.marked(2).await;
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn tasks_of_a_type_that_comes_later_wait_for_it_and_what_changes_is_sent_as_it_is_then() {
    let (world, mut mounted) = (World::new().await, Mounted::new(&[]));
    let worker = worker_with(&world, mounted.path()).await;
    order(&world, "early@example.com", "B-1").await;
    eventually("it waits", PATIENCE, async || (world.retrying().await == 1).then_some(())).await;
    mounted.becomes(&RECEIPT);
    assert_eq!(mail_to(&world, "early@example.com").await.0, "Your order B-1");

    let mut changed = RECEIPT;
    changed[1].1 = "Order {{ order }} is on its way\n";
    mounted.becomes(&changed);
    let mut n = 0;
    eventually("a mail with the new text", PATIENCE, async || {
        n += 1;
        let email = format!("later-{n}@example.com");
        order(&world, &email, "B-2").await;
        (mail_to(&world, &email).await.0 == "Order B-2 is on its way").then_some(())
    })
    .await;
    worker.stop().await;
    assert_eq!(world.smtp.mails().len(), n + 1, "a mail was lost or repeated");
    assert_eq!(world.waiting(queue::DEAD).await, 0);
}

/// A type whose subject and text say which version of it they are of.
fn version(number: u32) -> [(&'static str, String); 3] {
    [
        ("shop.receipt.toml", "[fields]\norder = \"text\"\n\n[sample]\norder = \"A-17\"\n".to_owned()),
        ("shop.receipt.en.subject", format!("Version {number}\n")),
        ("shop.receipt.en.txt", format!("Version {number}\n")),
    ]
}

#[tokio::test]
async fn files_that_are_swapped_a_hundred_times_a_second_cost_no_mail_and_mix_in_none() {
    const MAILS: usize = 400;
    let world = World::new().await;
    let becomes = |mounted: &mut Mounted, number: u32| {
        let files = version(number);
        let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
        mounted.becomes(&files);
    };
    let mut mounted = Mounted::new(&[]);
    becomes(&mut mounted, 0);
    let worker = worker_with(&world, mounted.path()).await;
    let swapping = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        // Whoever swaps so quickly pauses now and then: these are the sets that come into use.
        for number in 1..=400_u32 {
            tick.tick().await;
            becomes(&mut mounted, number);
            if number % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
                tick.reset();
            }
        }
    };
    let ordering = async {
        for n in 0..MAILS {
            order(&world, &format!("reader-{n}@example.com"), "B-1").await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::join!(swapping, ordering);
    eventually("every mail", PATIENCE, async || (world.smtp.mails().len() == MAILS).then_some(())).await;
    let mut versions = std::collections::BTreeSet::new();
    for mail in world.smtp.mails() {
        let parsed = mail.parsed();
        let (subject, text) = (parsed.subject().unwrap_or_default(), parsed.body_text(0).unwrap_or_default());
        assert_eq!(subject, text.trim(), "one mail of two sets");
        versions.insert(subject.to_owned());
    }
    assert!(versions.len() > 1, "none of the later sets came into use: {versions:?}");
    assert_eq!(world.waiting(queue::DEAD).await, 0);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn files_that_are_wrong_are_told_and_mails_go_on_by_the_last_good_ones() {
    let (world, mut mounted) = (World::new().await, Mounted::new(&RECEIPT));
    let worker = worker_with(&world, mounted.path()).await;
    let mut wrong = RECEIPT;
    wrong[2].1 = "Thank you,\n{{ nam }}\n";
    mounted.becomes(&wrong);
    let told = worker.says("its mail types are not right", |status, body| {
        status == 200 && body["components"]["mail-types"]["status"] == "down"
    });
    let reason = told.await["components"]["mail-types"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("shop.receipt.en.txt:2"), "file and line: {reason}");
    order(&world, "ada@example.com", "B-1").await;
    assert_eq!(mail_to(&world, "ada@example.com").await.1.trim(), "Thank you, Ada: B-1.");
    mounted.becomes(&RECEIPT);
    worker.says("they are right again", |_, body| body["components"]["mail-types"]["status"] == "up").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_does_not_start_with_files_that_are_wrong() {
    let (world, mounted) = (World::new().await, Mounted::new(&RECEIPT[..2]));
    let directory = mounted.path().to_str().unwrap().to_owned();
    let worker = world.process(&[("MAILS_DIR", &directory)]);
    let status = worker.exited(PATIENCE).await;
    assert_eq!(status.code(), Some(78), "{status}");
    let line = worker.wait_for_log("error:", PATIENCE).await;
    assert!(line.contains("MAILS_DIR") && line.contains("shop.receipt"), "{line}");
}

#[tokio::test]
async fn what_can_never_become_a_mail_is_put_aside_and_names_the_field_but_not_its_value() {
    let (world, mounted) = (World::new().await, Mounted::new(&RECEIPT));
    let worker = worker_with(&world, mounted.path()).await;
    for (name, data, field) in [
        ("a missing field", json!({}), "order"),
        ("a field of another kind", json!({"order": {"secret": "value"}}), "order"),
    ] {
        publish(&world, "shop.receipt", "ada@example.com", &data, registration(TaskId::new())).await;
        let dead = world.dead_letter().await;
        assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("wrong-data"), "{name}");
        let detail = dead.header(header::DEAD_DETAIL).unwrap();
        assert!(
            detail.contains(field) && !detail.contains("secret") && !detail.contains("value\""),
            "{name}: {detail}"
        );
    }
    assert_eq!(world.smtp.mails().len(), 0);
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_type_that_never_comes_is_a_dead_letter_that_says_what_to_do() {
    let world = World::new().await;
    let worker = world.worker_with(&[("MAIL_GIVE_UP_AFTER", "1s")]).await;
    order(&world, "ada@example.com", "B-1").await;
    let dead = world.dead_letter().await;
    assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("unknown-type"));
    let detail = dead.header(header::DEAD_DETAIL).unwrap();
    assert!(detail.contains("`shop.receipt`") && detail.contains("MAILS_DIR"), "{detail}");
    world.ends_clean(worker).await;
}

fn expiring(at: SystemTime) -> BasicProperties {
    let mut headers = FieldTable::default();
    let at = at.duration_since(UNIX_EPOCH).unwrap().as_secs();
    headers.insert(header::EXPIRES_AT.into(), AMQPValue::LongLongInt(at.try_into().unwrap()));
    registration(TaskId::new()).with_headers(headers)
}

#[tokio::test]
async fn a_mail_is_not_sent_after_its_time() {
    let (world, now) = (World::new().await, SystemTime::now());
    // The last one's server is away until its time is over, and then some.
    world.smtp.set_script(Script::healthy().reply(Stage::Rcpt, "450 4.2.0 later").for_recipient("slow@example.com"));
    let worker = world.worker().await;
    world.publish("past@example.com", expiring(now - Duration::from_secs(5))).await;
    world.publish("slow@example.com", expiring(now + Duration::from_secs(3))).await;
    world.publish("ahead@example.com", expiring(now + Duration::from_secs(3600))).await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    eventually("the refused one expires", PATIENCE, async || {
        let over = SystemTime::now() > now + Duration::from_secs(4);
        (over && world.retrying().await == 0 && world.waiting(queue::EMAIL).await == 0).then_some(())
    })
    .await;
    world.smtp.set_script(Script::healthy());
    world.ends_clean(worker).await;
    let sent: Vec<_> = world.smtp.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(sent, ["ahead@example.com"]);
}

#[tokio::test]
async fn a_mail_of_a_type_that_nobody_knows_is_a_dead_letter_when_its_time_is_over() {
    let world = World::new().await;
    let worker = world.worker().await;
    for ends in [SystemTime::now() - Duration::from_secs(5), SystemTime::now() + Duration::from_secs(1)] {
        world.publish("ada@example.com", expiring(ends).with_type("shop.recipt".into())).await;
        let dead = world.dead_letter().await;
        assert_eq!(dead.header(header::DEAD_REASON).as_deref(), Some("unknown-type"));
        assert!(dead.header(header::DEAD_DETAIL).unwrap().contains("`shop.recipt`"));
    }
    world.ends_clean(worker).await;
}

#[tokio::test]
async fn a_type_says_how_long_its_mails_are_worth_sending() {
    let mut files = RECEIPT;
    files[0].1 = "expires_after = \"2h\"\n\n[fields]\norder = \"text\"\n\n[sample]\norder = \"A-17\"\n";
    let (world, mounted) = (World::new().await, Mounted::new(&files));
    let worker = worker_with(&world, mounted.path()).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (email, age) in [("old@example.com", 3 * 3600), ("new@example.com", 3600)] {
        let properties = registration(TaskId::new()).with_timestamp(now - age);
        publish(&world, "shop.receipt", email, &json!({"order": "B-1"}), properties).await;
    }
    mail_to(&world, "new@example.com").await;
    world.ends_clean(worker).await;
    assert_eq!(world.smtp.mails().len(), 1, "one that is older than its type allows was sent");
}

#[tokio::test]
async fn bounces_of_each_mail_have_an_address_of_their_own_where_that_is_asked_for() {
    let world = World::new().await;
    let worker = world.worker_with(&[("MAIL_RETURN_PATH", "bounces+{id}@bounces.example.com")]).await;
    let id = world.register("ada@example.com").await;
    world.smtp.wait_for_mails(1, PATIENCE).await;
    let mail = world.smtp.mails().remove(0);
    assert_eq!(mail.from, format!("bounces+{id}@bounces.example.com"));
    assert!(mail.header("From").is_some_and(|from| from.contains("no-reply@example.com")));
    world.marked(1).await;
    world.ends_clean(worker).await;
}
