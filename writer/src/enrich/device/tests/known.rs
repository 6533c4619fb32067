//! User agents as they are met, and what is read from each.

/// User agents and their devices in one line (`class | browser | os | family / brand / model`, `-` for null);
/// `{webkit}` and `{apple}` stand for what nearly all of them repeat.
pub(super) const KNOWN: &[(&str, &str)] = &[
    (
        "Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/124.0.0.0 Mobile Safari/537.36",
        "phone | Chrome Mobile 124.0.0 | Android 10 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) {webkit} Chrome/124.0.6367.82 Mobile Safari/537.36",
        "phone | Chrome Mobile 124.0.6367 | Android 14 | Pixel 8 / Google / Pixel 8",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-S911B) {webkit} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile \
         Safari/537.36",
        "phone | Samsung Internet 24.0 | Android 13 | Samsung SM-S911B / Samsung / SM-S911B",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) {apple} Version/17.4.1 Mobile/15E148 Safari/604.1",
        "phone | Mobile Safari 17.4.1 | iOS 17.4.1 | iPhone / Apple / iPhone",
    ),
    ("MyApp/1.2 CFNetwork/1410.0.3 Darwin/22.6.0", "phone | MyApp 1.2 | iOS 16 | iOS-Device / Apple / iOS-Device"),
    (
        "Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
        "phone | Firefox Mobile 48.0 | KaiOS 2.5 | Nokia 8110 / Nokia / 8110",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) {apple} Mobile/15E148 \
         [FBAN/FBIOS;FBAV/450.0.0.38.108;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.4]",
        "phone | Facebook 450.0.0 | iOS 17.4 | iPhone / Apple / iPhone14,5",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-A546B Build/UP1A; wv) {webkit} Version/4.0 Chrome/123.0.6312.118 \
         Mobile Safari/537.36 Instagram 325.0.0.35.91 Android",
        "phone | Instagram 325.0.0 | Android 14 | Samsung SM-A546B / Samsung / SM-A546B",
    ),
    (
        "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS; Opera Mobi/23.348; U; en) Presto/2.5.25 Version/10.54",
        "phone | Opera Mini 9.80 | Symbian OS - | - / - / -",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/124.0.0.0 Safari/537.36",
        "tablet | Chrome 124.0.0 | Android 10 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-X906C) {webkit} Chrome/116.0.0.0 Safari/537.36",
        "tablet | Chrome 116.0.0 | Android 13 | Samsung SM-X906C / Samsung / SM-X906C",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {apple} Version/16.6 Mobile/15E148 Safari/604.1",
        "tablet | Mobile Safari 16.6 | iOS 16.6 | iPad / Apple / iPad",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; KFMAWI) {webkit} Silk/108.4.6 like Chrome/108.0.5359.160 Safari/537.36",
        "tablet | Amazon Silk 108.4.6 | Android 9 | Kindle / Amazon / Kindle",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/124.0.0.0 Safari/537.36",
        "desktop | Chrome 124.0.0 | Windows 10 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {apple} Version/17.4.1 Safari/605.1.15",
        "desktop | Safari 17.4.1 | Mac OS X 10.15.7 | Mac / Apple / Mac",
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "desktop | Firefox 125.0 | Ubuntu - | - / - / -",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/124.0.0.0 Safari/537.36",
        "desktop | Chrome 124.0.0 | Chrome OS 14541.0.0 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51",
        "desktop | Edge 124.0.2478 | Windows 10 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "desktop | IE 11.0 | Windows 7 | - / - / -",
    ),
    (
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) {webkit} 76.0.3809.146/6.0 TV Safari/537.36",
        "tv | Safari - | Tizen 6.0 | Samsung SMART-TV / Samsung / SMART-TV",
    ),
    (
        "Mozilla/5.0 (Web0S; Linux/SmartTV) {webkit} Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
        "tv | Chrome 94.0.4606 | Web0S - | LG Web0S SmartTV / LG / Web0S SmartTV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; AFTKA Build/PS7633) {webkit} Silk/120.4.1 like Chrome/120.0.6099.210 \
         Safari/537.36",
        "tv | Amazon Silk 120.4.1 | Android 9 | Kindle / Amazon / Kindle",
    ),
    ("AppleTV11,1/11.1", "tv | - - | ATV OS X - | AppleTV / Apple / AppleTV"),
    ("Roku/DVP-12.5 (12.5.0.4178-88)", "tv | Roku 12.5 | Roku 12.5 | Roku / - / Roku"),
    (
        "Mozilla/5.0 (Linux; Android 11; SM-R890) {webkit} Chrome/110.0.5481.65 Mobile Safari/537.36",
        "wearable | Chrome Mobile 110.0.5481 | Android 11 | SM-R890 / - / SM-R890",
    ),
    (
        "server-bag [Watch OS,8.5,19T242,Watch6,2]",
        "wearable | Apple Watch App 6.2 | - - | Apple Watch / Apple / Watch6,2",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; Quest 2) {webkit} OculusBrowser/27.0.0 Chrome/112.0.5615.204 VR \
         Safari/537.36",
        "wearable | Chrome 112.0.5615 | Android - | Quest / Meta / Quest 2",
    ),
    (
        "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) {apple} Version/13.0 Safari/605.1.15",
        "console | Safari 13.0 | - - | PlayStation 5 / Sony / PlayStation 5",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) {webkit} Chrome/120.0.0.0 Safari/537.36 \
         Edge/44.18363.8131",
        "console | Edge 44.18363.8131 | Windows 10 | - / - / -",
    ),
    (
        "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.2.22.5 \
         NintendoBrowser/5.1.0.22474",
        "console | - - | - - | - / - / -",
    ),
    (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "bot | Googlebot 2.1 | - - | Spider / Spider / Desktop",
    ),
    (
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {webkit} Chrome/124.0.6367.78 Mobile \
         Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "bot | Googlebot 2.1 | Android 6.0.1 | Spider / Spider / Smartphone",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) {webkit} HeadlessChrome/124.0.0.0 Safari/537.36",
        "bot | HeadlessChrome 124.0.0 | Linux - | - / - / -",
    ),
    (
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "bot | FacebookBot 1.1 | - - | Spider / Spider / Desktop",
    ),
    ("WhatsApp/2.23.20.0 A", "bot | WhatsApp 2.23.20 | - - | Spider / Spider / Desktop"),
    (
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "bot | UptimeRobot 2.0 | - - | Spider / Spider / Desktop",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "bot | GPTBot 1.2 | - - | Spider / Spider / Desktop",
    ),
    ("ELB-HealthChecker/2.0", "bot | - - | - - | - / - / -"),
    ("kube-probe/1.27", "bot | - - | - - | - / - / -"),
    ("curl/8.5.0", "library | curl 8.5.0 | - - | - / - / -"),
    ("python-requests/2.31.0", "library | Python Requests 2.31 | - - | - / - / -"),
    ("okhttp/4.12.0", "library | okhttp 4.12.0 | - - | - / - / -"),
    ("Go-http-client/2.0", "library | Go-http-client 2.0 | - - | - / - / -"),
    ("Java/17.0.2", "library | Java 17.0.2 | - - | - / - / -"),
    ("Python-urllib/3.10", "library | Python-urllib 3.10 | - - | - / - / -"),
    ("analytics-python/2.2.0", "library | - - | - - | - / - / -"),
    ("AppName/7 (unknown thing)", "unknown | - - | - - | - / - / -"),
    ("fetch libfetch/2.0", "library | fetch libfetch 2.0 | - - | - / - / -"),
    (
        "HTTP_Request2/2.1.1 (http://pear.php.net/package/http_request2) PHP/5.3.2-1ubuntu4.18",
        "library | - - | - - | - / - / -",
    ),
    ("portscout/0.8.1", "bot | - - | - - | - / - / -"),
    ("distilator/0.1 (http://people.freebsd.org/~ehaupt/distilator/)", "bot | - - | - - | - / - / -"),
    ("eZ Publish Link Validator", "bot | - - | - - | - / - / -"),
    ("binlar_2.6.3 (test@mgmt.mic)", "bot | - - | - - | - / - / -"),
    ("Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)", "bot | - - | - - | - / - / -"),
    ("Embedly +support@embed.ly", "bot | - - | - - | - / - / -"),
    ("Tiny Tiny RSS/1.11 (http://tt-rss.org/)", "bot | Tiny Tiny RSS 1.11 | - - | - / - / -"),
    ("Feedbin - 1 subscribers", "bot | Feedbin - | - - | - / - / -"),
    ("CommaFeed/1.0 (http://www.commafeed.com)", "bot | - - | - - | - / - / -"),
    ("Mozilla/5.0 (compatible; theoldreader.com)", "bot | - - | - - | - / - / -"),
    (
        "LiveJournal.com (webmaster@livejournal.com; for http://www.livejournal.com/users/cshpsionic/; 8 readers)",
        "bot | - - | - - | - / - / -",
    ),
    (
        "Digg Feed Fetcher 1.0 (Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_1) AppleWebKit/534.48.3 \
         (KHTML, like Gecko) Version/5.1 Safari/534.48.3)",
        "bot | Safari 5.1 | Mac OS X 10.7.1 | Mac / Apple / Mac",
    ),
    (
        "Instagram 3.0.4 Android (8/2.2.1; 240dpi; 480x800; HTC/ADR6400L; mecha; en_US)",
        "phone | - - | Android - | HTC ADR6400L / HTC / ADR6400L",
    ),
];
