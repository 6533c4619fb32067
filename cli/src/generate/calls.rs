//! What each call of a session says: its kind, its name and the members of its `properties` or `traits`.

use super::device::Platform;
use super::random::Random;
use super::session::{Action, CallKind, Place, Session};
use super::shop::{HOST, SEARCHES, Shop};
use super::text::{Hex, Hundredths, put};

/// A call without its envelope; the members of its body stand in a buffer beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Kind.
    pub(crate) kind: CallKind,
    /// Name of the event, page or screen.
    pub(crate) name: &'static str,
    /// What the event says was earned.
    pub(crate) revenue_cents: u64,
}

impl Call {
    /// A call that earns nothing.
    pub(crate) fn new(kind: CallKind, name: &'static str) -> Call {
        Call { kind, name, revenue_cents: 0 }
    }
}

/// Writes the body of `action` into `body` and returns the call.
pub(crate) fn call(action: Action, session: &Session, shop: &Shop, random: &mut Random, body: &mut Vec<u8>) -> Call {
    let track = |name| Call::new(CallKind::Track, name);
    match action {
        Action::Visit(place) => return visit(place, session, shop, body),
        Action::OrderCompleted => return order(session, shop, random, body),
        Action::Identify => {
            if let Some(user) = session.device.user {
                user.put_traits(body);
            }
            return Call::new(CallKind::Identify, "");
        }
        Action::Group => {
            put!(body, r#""name":"Alpine Club Section "#, random.below(40), r#"","plan":"club","employees":"#);
            put!(body, 5 + random.below(200), r#","industry":"Recreation","website":"https://club.example.org""#);
            return Call::new(CallKind::Group, "");
        }
        Action::Alias => return Call::new(CallKind::Alias, ""),
        _ => {}
    }
    let name = match action {
        Action::Opened => opened(random, body),
        Action::ListViewed => list(session, shop, random, body),
        Action::Searched => searched(session, random, body),
        Action::ProductViewed | Action::ProductAdded => product(action, session, shop, random, body),
        Action::CartViewed | Action::CheckoutStarted => cart(action, session, shop, body),
        Action::PaymentEntered => payment(session, random, body),
        Action::PromotionViewed => promotion(random, body),
        Action::ExperimentViewed => experiment(random, body),
        Action::VideoStarted => video(random, body),
        _ => clicked(session, random, body),
    };
    put_common(session, body);
    track(name)
}

/// Every app adds a few properties of its own to every event.
fn put_common(session: &Session, body: &mut Vec<u8>) {
    put!(body, r#","session_id":"#, session.id, r#","session_event_index":"#, session.calls);
    put!(body, r#","store":"eu-main","currency_display":"EUR","logged_in":"#, session.logged_in);
    put!(body, r#","feature_flags":["checkout_v3","search_vector","new_gallery","sticky_cart"],"experiments":{"#);
    let variants = super::random::mix(session.device.index);
    put!(body, r#""pdp_layout":""#, ["a", "b"][variants as usize & 1], r#"","free_shipping_bar":""#);
    put!(body, ["control", "treatment"][variants as usize >> 1 & 1], r#"","recommendations":"model_"#);
    put!(body, variants >> 8 & 7, r#""}"#);
    // Figures that differ from event to event without a random number of their own.
    let varied = super::random::mix(session.id ^ session.calls);
    put!(body, r#","performance":{"ttfb_ms":"#, 20 + varied % 400, r#","fcp_ms":"#, 300 + (varied >> 16) % 2_000);
    put!(body, r#","lcp_ms":"#, 500 + (varied >> 32) % 4_000, r#","cls":"#, Hundredths((varied >> 48) % 40));
    put!(body, r#"},"release":"2026.02.1","cdn_pop":"fra"#, varied % 7, r#"","view_id":""#, Hex(varied, 16));
    let trace = super::random::mix(varied);
    put!(body, r#"","traceparent":"00-"#, Hex(trace, 16), Hex(trace.rotate_left(7) ^ varied, 16), "-");
    put!(body, Hex(super::random::mix(trace), 16), r#"-01""#);
}

fn visit(place: Place, session: &Session, shop: &Shop, body: &mut Vec<u8>) -> Call {
    let name = match place {
        Place::Home => "Home",
        Place::Category => "Product List",
        Place::Results => "Search Results",
        Place::Product => "Product",
        Place::Cart => "Cart",
        Place::Checkout => "Checkout",
        Place::Thanks => "Order Confirmation",
    };
    let app = matches!(session.device.platform, Platform::Ios | Platform::Android);
    if app {
        put!(body, r#""previous_screen":""#, session.previous.map_or("", |_| "Product List"), r#"","tab":"shop","#);
        put!(body, r#""load_ms":"#, 40 + session.calls * 7, r#","deep_link":""#, HOST);
        put_path(place, session, shop, body);
        put!(body, r#"""#);
    } else {
        put_page(session, shop, body);
    }
    put!(body, r#","name":""#, name, r#"""#);
    put_common(session, body);
    Call::new(if app { CallKind::Screen } else { CallKind::Page }, name)
}

/// The members of `context.page`, which are those of a page call's `properties` as well.
pub(crate) fn put_page(session: &Session, shop: &Shop, out: &mut Vec<u8>) {
    let place = session.place;
    put!(out, r#""path":""#);
    put_path(place, session, shop, out);
    put!(out, r#"","referrer":""#);
    match (session.previous, session.campaign) {
        (Some(previous), _) => {
            put!(out, HOST);
            put_path(previous, session, shop, out);
        }
        (None, Some(campaign)) => put!(out, campaign.referrer),
        (None, None) => {}
    }
    put!(out, r#"","search":""#);
    put_search(session, out);
    put!(out, r#"","title":""#);
    match place {
        Place::Product => put!(out, shop.product(session.product).title),
        Place::Category => put!(out, Shop::category(shop.product(session.product).category).1, " – Fernweh"),
        Place::Results => put!(out, SEARCHES[session.search].1, " – Suche – Fernweh"),
        Place::Home => put!(out, "Fernweh – Ausrüstung für draußen"),
        Place::Cart | Place::Checkout => put!(out, "Your cart – Fernweh"),
        Place::Thanks => put!(out, "Thank you! 🎒 – Fernweh"),
    }
    put!(out, r#"","url":""#, HOST);
    put_path(place, session, shop, out);
    put_search(session, out);
    put!(out, r#"""#);
}

fn put_path(place: Place, session: &Session, shop: &Shop, out: &mut Vec<u8>) {
    match place {
        Place::Home => put!(out, "/"),
        Place::Category => put!(out, "/shop/", Shop::category(shop.product(session.product).category).0),
        Place::Results => put!(out, "/search"),
        Place::Product => put!(out, shop.product(session.product).path),
        Place::Cart => put!(out, "/cart"),
        Place::Checkout => put!(out, "/checkout/address"),
        Place::Thanks => put!(out, "/checkout/thanks"),
    }
}

fn put_search(session: &Session, out: &mut Vec<u8>) {
    if let (Some(campaign), None) = (session.campaign, session.previous) {
        put!(out, "?utm_source=", campaign.source, "&utm_medium=", campaign.medium, "&utm_campaign=");
        for byte in campaign.name.bytes() {
            match byte {
                b' ' => put!(out, "%20"),
                0x80.. => put!(out, "%", Hex(u64::from(byte), 2)),
                _ => out.push(byte),
            }
        }
        put!(out, "&utm_content=", campaign.content, "&gclid=", Hex(session.click_id, 16));
    } else if session.place == Place::Results {
        put!(out, "?q=", SEARCHES[session.search].0);
    }
}

fn opened(random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    put!(body, r#""from_background":"#, random.chance(0.6), r#","referring_application":"","version":"7.14.0""#);
    put!(body, r#","cold_start_ms":"#, 300 + random.below(1_500), r#","push_enabled":"#, random.chance(0.5));
    "Application Opened"
}

fn list(session: &Session, shop: &Shop, random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    let category = Shop::category(shop.product(session.product).category).0;
    put!(body, r#""list_id":""#, category, r#"","category":""#, category, r#"","sort":"popular","products":["#);
    for position in 1..=2_u64 {
        let product = shop.product(shop.pick(random));
        put!(body, if position > 1 { "," } else { "" }, "{", product.json, r#","position":"#, position, "}");
    }
    put!(body, r#"],"result_count":"#, 12 + random.below(90));
    "Product List Viewed"
}

fn searched(session: &Session, random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    put!(body, r#""query":""#, SEARCHES[session.search].1, r#"","result_count":"#, random.below(120));
    put!(body, r#","latency_ms":"#, 12 + random.below(300), r#","filters":[{"type":"size","value":"M"},"#);
    put!(body, r#"{"type":"price","value":"under $100"}],"sorts":[{"type":"price","value":"desc"}],"suggested":false"#);
    "Products Searched"
}

fn product(action: Action, session: &Session, shop: &Shop, random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    put!(body, shop.product(session.product).json, r#","quantity":"#, 1 + random.below(2), r#","currency":"EUR","#);
    put!(body, r#""stock":"#, random.below(60), r#","rating":"#, Hundredths(300 + random.below(200)));
    put!(body, r#","position":"#, 1 + random.below(24), r#","coupon":null"#);
    if action == Action::ProductAdded {
        put!(body, r#","cart_id":"crt_"#, Hex(session.id, 12), r#"""#);
        return "Product Added";
    }
    "Product Viewed"
}

fn put_products(session: &Session, shop: &Shop, body: &mut Vec<u8>) {
    put!(body, r#""products":["#);
    for (i, index) in session.cart.iter().enumerate() {
        put!(body, if i > 0 { "," } else { "" }, "{", shop.product(*index).json, r#","quantity":1}"#);
    }
    put!(body, "]");
}

fn cart(action: Action, session: &Session, shop: &Shop, body: &mut Vec<u8>) -> &'static str {
    put!(body, r#""cart_id":"crt_"#, Hex(session.id, 12), r#"","value":"#, Hundredths(cart_cents(session, shop)), ",");
    put_products(session, shop, body);
    if action == Action::CheckoutStarted { "Checkout Started" } else { "Cart Viewed" }
}

fn cart_cents(session: &Session, shop: &Shop) -> u64 {
    session.cart.iter().map(|index| shop.product(*index).cents).sum()
}

fn payment(session: &Session, random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    let method = random.pick(&["card", "paypal", "klarna", "apple_pay"]);
    put!(body, r#""checkout_id":"chk_"#, Hex(session.id, 12), r#"","step":3,"payment_method":""#, *method, r#"","#);
    put!(body, r#""shipping_method":"standard","saved_card":"#, random.chance(0.3), r#","attempts":1"#);
    "Payment Info Entered"
}

fn order(session: &Session, shop: &Shop, random: &mut Random, body: &mut Vec<u8>) -> Call {
    let goods = cart_cents(session, shop);
    let discount = if random.chance(0.2) { goods / 10 } else { 0 };
    let revenue_cents = goods - discount;
    put!(body, r#""order_id":"ord_"#, Hex(random.bits(), 16), r#"","checkout_id":"chk_"#, Hex(session.id, 12));
    put!(body, r#"","total":"#, Hundredths(revenue_cents + 495), r#","revenue":"#, Hundredths(revenue_cents));
    put!(body, r#","shipping":4.95,"tax":"#, Hundredths(revenue_cents * 19 / 119), r#","discount":"#);
    put!(body, Hundredths(discount), r#","currency":"EUR","coupon":""#, if discount > 0 { "WINTER10" } else { "" });
    put!(body, r#"","#);
    put_products(session, shop, body);
    put_common(session, body);
    Call { kind: CallKind::Track, name: "Order Completed", revenue_cents }
}

fn promotion(random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    let slot = random.below(6);
    put!(
        body,
        r#""promotion_id":"promo_"#,
        slot,
        r#"","creative":"banner_"#,
        slot,
        r#"_1440x480","name":"Winter Sale","#
    );
    put!(body, r#""position":"home_top","visible_ms":"#, random.below(9_000), r#","viewport_share":"#);
    put!(body, Hundredths(random.below(100)), r#","campaign":{"id":"wsale26","region":"dach","budget_class":"a"}"#);
    "Promotion Viewed"
}

fn experiment(random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    let id = random.below(9);
    put!(body, r#""experiment_id":"exp_"#, id, r#"","experiment_name":"Checkout in one page","variation_id":""#);
    put!(body, random.below(2), r#"","variation_name":"one_page","bucket":"#, random.below(10_000), r#","#);
    put!(body, r#""allocation":0.5,"is_holdout":false,"namespace":"web-checkout""#);
    "Experiment Viewed"
}

fn video(random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    put!(body, r#""session_id_video":""#, Hex(random.bits(), 16), r#"","content_asset_ids":["vid_"#, random.below(80));
    put!(body, r#""],"position":0,"total_length":"#, 20 + random.below(200), r#","bitrate":2500,"framerate":60,"#);
    put!(body, r#""video_player":"native","sound":"#, random.below(100), r#","full_screen":false,"ad_enabled":false"#);
    "Video Playback Started"
}

fn clicked(session: &Session, random: &mut Random, body: &mut Vec<u8>) -> &'static str {
    let target = *random.pick(&["size-guide", "add-to-wishlist", "gallery-next", "reviews-tab", "nav-menu", "share"]);
    put!(body, r#""element_id":""#, target, r#"","element_text":"\u2192 "#, target, r#"","element_path":"main > "#);
    put!(
        body,
        r#"section.product > div.actions > button[data-testid=\"#,
        "\"",
        target,
        r#"\"]","x":"#,
        random.below(1_400)
    );
    put!(body, r#","y":"#, random.below(4_000), r#","scroll_depth":"#, Hundredths(random.below(100)));
    put!(body, r#","place_calls":"#, session.calls, r#","dwell_ms":"#, random.below(90_000));
    "Element Clicked"
}

/// Writes the body of a call that a server makes and returns the call.
pub(crate) fn backend(shop: &Shop, random: &mut Random, body: &mut Vec<u8>) -> Call {
    let name = random.weighted(&[
        (30, "Payment Captured"),
        (30, "Order Shipped"),
        (25, "Email Delivered"),
        (10, "Order Refunded"),
        (5, "Subscription Renewed"),
    ]);
    put!(body, r#""order_id":"ord_"#, Hex(random.bits(), 16), r#"","amount":"#, Hundredths(900 + random.below(40_000)));
    put!(body, r#","currency":"EUR","attempt":1,"provider":{"name":"adyen","reference":""#, Hex(random.bits(), 16));
    put!(
        body,
        r#"","latency_ms":"#,
        20 + random.below(800),
        r#"},"warehouse":"leipzig-2","carrier":"dhl","products":["#
    );
    for (i, quantity) in [1_u64, 1 + random.below(3)].into_iter().enumerate() {
        let product = shop.product(shop.pick(random));
        put!(body, if i > 0 { "," } else { "" }, "{", product.json, r#","quantity":"#, quantity, "}");
    }
    put!(body, r#"],"idempotency_key":""#, Hex(random.bits(), 16), r#"","source":"event-bus","schema":"orders.v4""#);
    put!(body, r#","flags":{"gift":false,"express":"#, random.chance(0.2), r#","b2b":false,"fraud_score":0.02}"#);
    put!(body, r#","customer":{"tier":"plus","first_order":false,"orders":"#, random.below(40), r#","country":"DE","#);
    put!(body, r#""language":"de","marketing_consent":true},"shipping":{"method":"standard","parcels":1,"weight_g":"#);
    put!(body, 200 + random.below(9_000), r#","tracking":"JD01460000"#, 10_000_000 + random.below(89_999_999));
    put!(body, r#"","promised_days":2,"origin":{"site":"leipzig-2","dock":"#, random.below(30), r#"}},"retries":0"#);
    Call::new(CallKind::Track, name)
}
