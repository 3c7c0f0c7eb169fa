//! The languages of the pages: English as the templates have it, and Chinese.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The one that a browser wants most, of `Accept-Language` (RFC 9110, 12.5.4).
    pub(super) fn of(accepted: Option<&str>) -> Self {
        let mut best = (0.0, Self::English);
        for range in accepted.unwrap_or_default().split(',') {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight.clone().is_ok_and(|weight| weight > best.0) {
                best = (weight.unwrap_or_default(), language);
            }
        }
        best.1
    }

    /// As HTML names it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// A text of the templates in this language.
    pub(super) fn text(self, english: &str) -> &str {
        match self {
            Self::English => english,
            Self::Chinese => TEXTS.iter().find(|(text, _)| *text == english).map_or(english, |(_, chinese)| chinese),
        }
    }
}

/// English, and the same in Chinese.
const TEXTS: &[(&str, &str)] = &[
    ("Overview", "概览"),
    ("Find a mail", "查找邮件"),
    ("Sending", "发送"),
    ("History", "操作记录"),
    ("Sign in", "登录"),
    ("Sign out", "退出登录"),
    ("Sign in at", "通过以下服务登录:"),
    ("The sign-in provider does not answer.", "登录服务没有响应。"),
    ("This sign-in was begun elsewhere or too long ago. Try again.", "此次登录不是在此处发起,或已超时,请重试。"),
    ("Another provider than ours sent you here.", "您来自另一个登录服务。"),
    ("The provider did not let you in.", "登录服务拒绝了此次登录。"),
    (
        "The provider's answer could not be used. The log of the console says why.",
        "无法使用登录服务的答复,原因见控制台日志。",
    ),
    ("You have none of the groups that are let in.", "您不在允许登录的任何组中。"),
    ("People sign in at the proxy before this console: come by its address.", "请通过控制台前的代理登录并访问。"),
    ("Signed in", "已登录"),
    ("Go on to the overview", "前往概览"),
    ("Signed out", "已退出登录"),
    ("The session here has ended.", "此处的会话已结束。"),
    ("You may still be signed in at", "您可能仍登录于"),
    ("Sign out there too", "同时在那里退出登录"),
    ("Token", "令牌"),
    ("No such token.", "没有此令牌。"),
    ("Too many tries. Wait a minute.", "尝试次数过多,请稍候一分钟。"),
    ("Skip to the content", "跳到正文"),
    ("Pages", "页面"),
    ("viewer", "查看者"),
    ("operator", "操作员"),
    ("Queues", "队列"),
    ("Queue", "队列"),
    ("Waiting", "等待中"),
    ("Consumers", "消费者"),
    ("The broker does not answer.", "消息代理没有响应。"),
    ("The database does not answer.", "数据库没有响应。"),
    ("Not here", "找不到"),
    ("There is nothing at this address.", "此地址没有内容。"),
    ("Not allowed", "不允许"),
    ("This form was sent by another site.", "此表单由其他网站提交。"),
    ("Times are in UTC.", "时间均为 UTC。"),
    ("What holds", "当前控制"),
    ("Nothing is paused, and nothing limited beside MAIL_RATE.", "没有暂停,除 MAIL_RATE 外没有限速。"),
    ("Scope", "范围"),
    ("Control", "控制"),
    ("Since", "开始时间"),
    ("Until", "结束时间"),
    ("By", "操作人"),
    ("Why", "原因"),
    ("paused", "已暂停"),
    ("limit", "限速"),
    ("at once in one worker", "单个工作进程同时发送"),
    ("End", "结束"),
    ("Pause or limit", "暂停或限速"),
    ("What", "操作"),
    ("Pause", "暂停"),
    ("Limit", "限速"),
    ("All mails", "全部邮件"),
    ("Mails of a type", "某一类型的邮件"),
    ("Mails to a domain", "发往某一域名的邮件"),
    ("Type or domain", "类型或域名"),
    ("Rate, such as 14/s, 600/m or 2000/h; 0 is no limit", "速率,例如 14/s、600/m 或 2000/h;0 表示不限"),
    ("For how long, such as 30m; empty: until somebody ends it", "持续时间,例如 30m;留空表示直到有人结束"),
    (
        "Mails at once in one worker, of a type or a domain; empty: any number",
        "单个工作进程同时发送的邮件数,限类型或域名;留空表示不限",
    ),
    ("Close the circuit now", "立即闭合断路器"),
    (
        "For when you know that the mail server is well again. Where it is not, the circuit opens again with the next mail.",
        "适用于您已知邮件服务器恢复正常时。若尚未恢复,断路器会在下一封邮件后再次断开。",
    ),
    ("Close it", "闭合"),
    ("Why, for the others", "原因,供他人参考"),
    ("Do it", "执行"),
    ("Workers follow within two seconds.", "工作进程将在两秒内生效。"),
    ("A viewer looks, and does nothing.", "查看者只能查看,不能操作。"),
    ("When", "时间"),
    ("Action", "操作"),
    ("Object", "对象"),
    ("How and why", "方式与原因"),
    ("Nothing was done yet.", "尚无操作记录。"),
    ("Address, id of the mail, or trace", "收件地址、邮件编号或追踪编号"),
    ("The address is hashed here, and kept nowhere.", "地址仅在此处做哈希处理,不会保存。"),
    ("This address gets no mails.", "该地址已被屏蔽,不再发送邮件。"),
    ("Let it have mails again", "恢复发送"),
    ("Find", "查找"),
    (
        "Nothing is known of it: not delivered to a worker yet, or forgotten.",
        "没有记录:尚未交给工作进程,或已过保存期。",
    ),
    ("Addresses can't be looked up: ADDRESS_HASH_KEY is not set.", "无法按地址查找:未设置 ADDRESS_HASH_KEY。"),
    ("This is no address, no id and no trace.", "这不是地址、编号或追踪编号。"),
    ("Mails", "邮件"),
    ("Mail", "邮件"),
    ("State", "状态"),
    ("Type", "类型"),
    ("Domain", "域名"),
    ("Attempts", "尝试次数"),
    ("Changed", "更新时间"),
    ("Made", "创建时间"),
    ("Next attempt", "下次尝试"),
    ("Reason", "原因"),
    ("Trace", "追踪编号"),
    ("What happened", "经过"),
    ("Attempt", "尝试"),
    ("Took", "耗时"),
    ("Stage", "阶段"),
    ("Worker", "工作进程"),
    ("The mail server said", "邮件服务器的回复"),
    ("No attempt failed.", "没有失败的尝试。"),
    ("sent", "已发送"),
    ("retried", "等待重试"),
    ("dead", "已放弃"),
    ("expired", "已过期"),
    ("suppressed", "已屏蔽"),
    ("unknown_type", "类型未知"),
    ("sending", "发送中"),
    ("waiting", "等待中"),
    ("done", "已完成"),
    ("a worker has it at this moment", "有工作进程正在处理"),
    ("a worker had it and could not try it yet: it waits for its next turn", "工作进程取过但尚未尝试:正在等待下一次"),
    ("Dead letters", "死信"),
    ("Dead letter", "死信"),
    ("Jobs", "任务"),
    ("Job", "任务"),
    ("Redrive dead letters", "重新投递死信"),
    ("Discard dead letters", "丢弃死信"),
    ("redrive", "重新投递"),
    ("discard", "丢弃"),
    ("Redrive", "重新投递"),
    ("Discard", "丢弃"),
    ("Died in the last, such as 2h", "最近多久内失败,例如 2h"),
    ("Died longer ago than", "失败早于"),
    ("Id", "编号"),
    ("Filter", "筛选"),
    ("The dead letters are being read.", "正在读取死信。"),
    ("Look again", "再看一次"),
    ("There are no dead letters.", "没有死信。"),
    ("of", "/"),
    ("as of", "截至"),
    ("being read again", "正在重新读取"),
    ("Not listed, only counted: between the oldest and the newest", "仅计数、未列出(介于最早与最新之间)"),
    ("Letters", "死信列表"),
    ("the oldest first", "最早的在前"),
    ("the newest first", "最新的在前"),
    ("Previous page", "上一页"),
    ("Next page", "下一页"),
    ("Letter", "死信"),
    ("Died", "失败时间"),
    ("Detail", "详情"),
    ("Message id", "消息编号"),
    ("Task", "内容"),
    ("Texts are replaced by their lengths: they are personal data.", "文本属于个人数据,已替换为其长度。"),
    ("They go back on the queue, as if they had never failed.", "它们将回到队列,如同从未失败。"),
    ("They are thrown away for good.", "它们将被永久丢弃。"),
    ("Which", "范围"),
    ("How many", "数量"),
    ("Not counted here", "未计入"),
    ("some of which may be meant too", "其中可能也有符合条件的"),
    ("Letters a second, at most", "每秒最多处理数量"),
    (
        "It is done in the background. Letters that die from now on are not meant.",
        "在后台执行。此后新增的死信不受影响。",
    ),
    ("Back", "返回"),
    ("Done", "已完成"),
    ("running", "执行中"),
    ("stopped", "已停止"),
    ("Stop it here", "就此停止"),
    ("This form is not ours.", "此表单无效。"),
    ("To be tried again", "等待重试"),
    ("In flight", "处理中"),
    ("Workers", "工作进程"),
    ("not sending", "未在发送"),
    ("Rate in force", "当前速率"),
    ("no limit", "不限"),
    ("Waited, the mail accepted last", "最近一封的等待时间"),
    ("The mail server takes less than it might be sent", "邮件服务器接收的速率低于上限"),
    ("The last hour, by the minute", "最近一小时(每分钟)"),
    ("Came in", "新增"),
    ("Sent", "已发送"),
    ("Refused", "被拒"),
    ("most", "最高"),
    ("now", "当前"),
    ("Refused, by reason", "被拒(按原因)"),
    ("Died, by reason", "失败(按原因)"),
    ("Version", "版本"),
    ("Circuit", "熔断器"),
    ("closed", "闭合"),
    ("open", "断开"),
    ("half-open", "半开"),
    ("the ledger says that it is done; the log did not see it", "账本显示已完成,但日志没有记录"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_that_it_wants_most() {
        for (accepted, language) in [
            (None, Language::English),
            (Some(""), Language::English),
            (Some("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese),
            (Some("en-GB,en;q=0.9,zh;q=0.8"), Language::English),
            (Some("de, zh;q=0.5, en;q=0.4"), Language::Chinese),
            (Some("en;q=0, zh;q=0"), Language::English),
            (Some("de"), Language::English),
        ] {
            assert_eq!(Language::of(accepted), language, "{accepted:?}");
        }
    }

    /// Each text between quotes that a template sends through `| t`.
    fn texts(template: &str) -> impl Iterator<Item = &str> {
        template.split("{{").filter_map(|rest| rest.split("}}").next()).filter_map(|tag| {
            let text = tag.trim().strip_prefix('"')?;
            let (text, rest) = text.split_once('"')?;
            rest.trim().starts_with("| t").then_some(text)
        })
    }

    #[test]
    fn every_text_of_every_template_is_there_in_chinese() {
        for (name, template) in super::super::pages::TEMPLATES {
            for text in texts(template) {
                assert_ne!(Language::Chinese.text(text), text, "{name}: {text:?} has no translation");
            }
        }
    }

    #[test]
    fn no_text_is_there_twice() {
        for (at, (text, _)) in TEXTS.iter().enumerate() {
            assert!(TEXTS[..at].iter().all(|(other, _)| other != text), "{text}");
        }
    }
}
