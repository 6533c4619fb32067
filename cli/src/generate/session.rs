//! A visit: which call follows which. A session walks through the shop, logs in, fills a cart, sometimes buys.

use super::device::{Device, Platform};
use super::random::Random;
use super::shop::Shop;

/// The calls of the Segment spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallKind {
    /// Something was done.
    Track,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// Who it is.
    Identify,
    /// Which organisation the person belongs to.
    Group,
    /// Two identities are one.
    Alias,
}

impl CallKind {
    /// Every kind.
    pub(crate) const ALL: [CallKind; 6] =
        [CallKind::Track, CallKind::Page, CallKind::Screen, CallKind::Identify, CallKind::Group, CallKind::Alias];

    /// Returns the value of the event's `type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CallKind::Track => "track",
            CallKind::Page => "page",
            CallKind::Screen => "screen",
            CallKind::Identify => "identify",
            CallKind::Group => "group",
            CallKind::Alias => "alias",
        }
    }
}

/// What happens next in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The app came to the foreground.
    Opened,
    /// A page or screen of this kind was seen.
    Visit(Place),
    /// A list of products was seen.
    ListViewed,
    /// Something was searched for.
    Searched,
    /// A product was seen.
    ProductViewed,
    /// A product went into the cart.
    ProductAdded,
    /// The cart was looked at.
    CartViewed,
    /// Checkout began.
    CheckoutStarted,
    /// Payment was entered.
    PaymentEntered,
    /// An order was placed.
    OrderCompleted,
    /// A banner was seen.
    PromotionViewed,
    /// A variant of an experiment was shown.
    ExperimentViewed,
    /// Something was clicked.
    Clicked,
    /// A video was started.
    VideoStarted,
    /// The person logged in.
    Identify,
    /// The person belongs to an organisation.
    Group,
    /// The device's old identity is the person's.
    Alias,
}

/// Kind of a page or screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Start page.
    Home,
    /// Products of a category.
    Category,
    /// Search results.
    Results,
    /// One product.
    Product,
    /// The cart.
    Cart,
    /// Checkout.
    Checkout,
    /// Thanks for the order.
    Thanks,
}

/// An advertisement that led to the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    /// `utm_campaign`.
    pub(crate) name: &'static str,
    /// `utm_source`.
    pub(crate) source: &'static str,
    /// `utm_medium`.
    pub(crate) medium: &'static str,
    /// `utm_content`.
    pub(crate) content: &'static str,
    /// Site that the visitor comes from.
    pub(crate) referrer: &'static str,
}

const CAMPAIGNS: &[(u32, Option<Campaign>)] = &[
    (60, None),
    (16, Some(campaign("winter_sale_2026", "google", "cpc", "rsa_headline_3", "https://www.google.com/"))),
    (10, Some(campaign("newsletter-2026-02", "newsletter", "email", "hero", ""))),
    (9, Some(campaign("retargeting_cart", "facebook", "paid_social", "carousel_b", "https://l.facebook.com/"))),
    (5, Some(campaign("hütten tour", "instagram", "influencer", "story", "https://l.instagram.com/"))),
];

const fn campaign(
    name: &'static str,
    source: &'static str,
    medium: &'static str,
    content: &'static str,
    referrer: &'static str,
) -> Campaign {
    Campaign { name, source, medium, content, referrer }
}

/// A session in progress.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it runs.
    pub(crate) device: Device,
    /// Identity of the session, as the app tells it.
    pub(crate) id: u64,
    /// Whether the person is logged in.
    pub(crate) logged_in: bool,
    /// How it began, until the second page.
    pub(crate) campaign: Option<Campaign>,
    /// Click id of the advertisement.
    pub(crate) click_id: u64,
    /// Where the visitor is.
    pub(crate) place: Place,
    /// Where the visitor was before.
    pub(crate) previous: Option<Place>,
    /// The product looked at.
    pub(crate) product: usize,
    /// The search typed (index).
    pub(crate) search: usize,
    /// What is in the cart.
    pub(crate) cart: Vec<usize>,
    /// Calls made so far.
    pub(crate) calls: u64,
    follows: Option<Action>,
    steps_left: u64,
}

/// A cart holds at most this many products, so that no event grows without bound.
const MAX_CART: usize = 4;

impl Session {
    /// Begins a session on `device`.
    pub(crate) fn begin(device: Device, random: &mut Random) -> Session {
        let app = matches!(device.platform, Platform::Ios | Platform::Android);
        let logged_in = device.user.is_some() && random.chance(0.7);
        Session {
            id: 1_768_000_000_000 + random.below(400_000_000),
            logged_in,
            campaign: if app { None } else { random.weighted(CAMPAIGNS) },
            click_id: random.bits(),
            place: Place::Home,
            previous: None,
            product: 0,
            search: 0,
            cart: Vec::new(),
            calls: 0,
            follows: Some(if app { Action::Opened } else { Action::Visit(Place::Home) }),
            steps_left: 4 + random.below(24),
            device,
        }
    }

    /// Returns whether the visitor has left.
    pub(crate) fn is_over(&self) -> bool {
        self.steps_left == 0
    }

    /// Returns what happens next and moves on.
    pub(crate) fn step(&mut self, random: &mut Random, shop: &Shop) -> Action {
        let action = self.follows.take().unwrap_or_else(|| self.choose(random));
        self.steps_left = self.steps_left.saturating_sub(1);
        self.calls += 1;
        match action {
            Action::Visit(place) => self.visit(place, random, shop),
            Action::ProductAdded if self.cart.len() < MAX_CART => self.cart.push(self.product),
            Action::Identify => self.logged_in = true,
            _ => {}
        }
        self.follows = self.after(action, random);
        action
    }

    fn choose(&self, random: &mut Random) -> Action {
        let shopping = u32::from(!self.cart.is_empty());
        let on_product = u32::from(self.place == Place::Product);
        let stranger = u32::from(self.device.user.is_some() && !self.logged_in);
        random.weighted(&[
            (16, Action::Visit(Place::Category)),
            (8, Action::Visit(Place::Results)),
            (30, Action::Visit(Place::Product)),
            (24 * on_product, Action::ProductAdded),
            (14, Action::Clicked),
            (7, Action::PromotionViewed),
            (5, Action::ExperimentViewed),
            (3, Action::VideoStarted),
            (9 * shopping, Action::Visit(Place::Cart)),
            (9 * shopping, Action::Visit(Place::Checkout)),
            (14 * stranger, Action::Identify),
        ])
    }

    fn visit(&mut self, place: Place, random: &mut Random, shop: &Shop) {
        self.previous = (self.calls > 1).then_some(self.place);
        if self.previous.is_some() {
            self.campaign = None;
        }
        self.place = place;
        match place {
            Place::Product | Place::Category => self.product = shop.pick(random),
            Place::Results => self.search = random.below(super::shop::SEARCHES.len() as u64) as usize,
            _ => {}
        }
    }

    fn after(&mut self, action: Action, random: &mut Random) -> Option<Action> {
        Some(match action {
            Action::Opened => Action::Visit(Place::Home),
            Action::Visit(Place::Category) => Action::ListViewed,
            Action::Visit(Place::Results) => Action::Searched,
            Action::Visit(Place::Product) => Action::ProductViewed,
            Action::Visit(Place::Cart) => Action::CartViewed,
            Action::Visit(Place::Checkout) => Action::CheckoutStarted,
            Action::CheckoutStarted if random.chance(0.7) => Action::PaymentEntered,
            Action::PaymentEntered if random.chance(0.85) => Action::OrderCompleted,
            Action::OrderCompleted => Action::Visit(Place::Thanks),
            Action::Visit(Place::Thanks) => {
                self.cart.clear();
                return None;
            }
            Action::Identify if random.chance(0.25) => Action::Alias,
            Action::Identify if random.chance(0.08) => Action::Group,
            _ => return None,
        })
    }
}
