//! Which user agents are robots, and which are http libraries.
//!
//! A robot is what fetches pages without somebody who looks at them: crawlers, monitors, link previews, feed fetchers,
//! headless browsers. uap-core's `Spider` is taken over with two exceptions:
//!
//! - A user agent that *begins* with the name of an http library is a library. uap-core calls some of them spiders
//!   (`Java/…`) and others not (`okhttp/…`), and an app that people use may send either; filter by class instead.
//! - Its rule looks for `bot` anywhere in the text; phones of the maker Cubot are none.
//!
//! What uap-core misses is caught by the words below. They were chosen for meaning one thing only: `monitor`, `checker`
//! or `preview` would catch apps too, and are left out.

/// Words that end like this are names of robots: `Googlebot`, `Baiduspider`.
const ENDINGS: &[&str] = &["bot", "bots", "crawler", "spider", "scraper"];

/// Words that end like a robot's name: a maker of phones, and the app of a vacuum cleaner.
const NO_ROBOTS: &[&str] = &["cubot", "irobot"];

/// Marks of robots. A space stands for the edge of a word.
const MARKS: &[&str] = &[
    // The address of the operator, as crawlers give it by custom; no browser does.
    " +http",
    // Headless browsers and test drivers.
    "headless",
    " phantomjs ",
    " puppeteer",
    " playwright",
    " selenium",
    " cypress ",
    " htmlunit ",
    " jsdom ",
    // Monitors and speed tests.
    " pingdom",
    " statuscake ",
    " site24x7 ",
    " uptime kuma ",
    " better uptime ",
    " newrelicpinger ",
    " newrelicsynthetics ",
    " datadogsynthetics ",
    " stackdriver",
    "stackdrivermonitoring",
    " elb healthchecker ",
    " kube probe ",
    " googlehc ",
    " check http ",
    " zabbix ",
    " prometheus ",
    " blackbox exporter ",
    " catchpoint ",
    " gtmetrix ",
    " ptst ",
    " chrome lighthouse ",
    // Feed fetchers; by custom they tell for how many subscribers.
    " subscribers ",
    "feedfetcher",
    " feedly",
    " feedburner ",
    " feedparser ",
    " feedbin ",
    " commafeed ",
    " simplepie ",
    " newsblur ",
    " inoreader ",
    " theoldreader ",
    " tiny tiny rss ",
    " feed fetcher ",
    // How LiveJournal's signs; an app may have the site's name.
    " livejournal com webmaster ",
    // Fetchers of search engines, language models and link previews without `bot` in their names.
    " slurp ",
    " mediapartners google ",
    " google inspectiontool ",
    " google read aloud ",
    " googleother",
    " apis google ",
    " ia archiver ",
    " chatgpt user ",
    " claude user ",
    " claude web ",
    " perplexity user ",
    " anthropic ai ",
    " cohere ai ",
    " meta externalagent ",
    " meta externalfetcher ",
    " facebookexternalhit ",
    " facebookcatalog ",
    " skypeuripreview ",
    " embedly ",
    " ezooms ",
    " binlar ",
    // Looking for dead links, and for new releases of programs.
    " link validator ",
    " portscout ",
    " distilator ",
    // Frameworks and scanners.
    " nutch ",
    " heritrix ",
    " scrapy ",
    " zgrab ",
    " masscan ",
    " nikto ",
    " sqlmap ",
    " censysinspect ",
];

/// How the user agents of http libraries begin.
const LIBRARIES: &[&str] = &[
    " curl ",
    " libcurl ",
    " wget ",
    " httpie ",
    " python requests ",
    " python urllib",
    " python httpx ",
    " aiohttp ",
    " python ",
    " okhttp ",
    " apache httpclient ",
    " jakarta commons httpclient ",
    " java ",
    " java http client ",
    " go http client ",
    " go resty ",
    " axios ",
    " node fetch ",
    " node ",
    " undici ",
    " got ",
    " deno ",
    " bun ",
    " dart ",
    " ruby ",
    " faraday ",
    " rest client ",
    " guzzlehttp ",
    " php ",
    " http request2 ",
    " fetch libfetch ",
    " symfony httpclient ",
    " libwww perl ",
    " lwp ",
    " reqwest ",
    " hyper ",
    " ureq ",
    " postmanruntime ",
    " insomnia ",
    " restsharp ",
    // The server-side clients of Segment's own.
    " analytics python ",
    " analytics node ",
    " analytics ruby ",
    " analytics java ",
    " analytics go ",
    " analytics php ",
];

/// Tells whether `words` name a robot.
pub(super) fn is_named(words: &str) -> bool {
    let is_robot = |word: &str| ENDINGS.iter().any(|end| word.ends_with(end)) && !NO_ROBOTS.contains(&word);
    MARKS.iter().any(|mark| words.contains(mark)) || words.split(' ').any(is_robot)
}

/// Tells whether `words` begin with the name of an http library.
pub(super) fn is_library(words: &str) -> bool {
    LIBRARIES.iter().any(|name| words.starts_with(name))
}

/// Tells whether uap-core may have taken a word of `words` for a robot's by mistake.
pub(super) fn is_false_spider(words: &str) -> bool {
    words.split(' ').any(|word| NO_ROBOTS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::super::class::words_of;
    use super::*;

    #[test]
    fn robots_are_known_by_word() {
        for name in ["Googlebot/2.1", "my-bot 1", "Baiduspider+", "X (+https://x.example/about)", "kube-probe/1.27"] {
            assert!(is_named(&words_of(&[name])), "{name}");
        }
    }

    #[test]
    fn words_that_only_look_like_robots_are_none() {
        for name in [
            "CUBOT_NOTE_7",
            "iRobot HOME/6.1",
            "Bottle/1",
            "Spiderman/2",
            "Roboto",
            "Botanica 3",
            "LiveJournal/4",
            "curl/8.5",
        ] {
            assert!(!is_named(&words_of(&[name])), "{name}");
        }
    }

    #[test]
    fn a_library_is_known_by_the_beginning_only() {
        assert!(is_library(&words_of(&["okhttp/4.12.0"])));
        assert!(!is_library(&words_of(&["Mozilla/5.0 okhttp/4.12.0"])));
    }
}
