//! The graph of a day as a picture (SVG), for light and dark pages.

use std::fmt::Write;

use crate::day::{Day, Plan};
use crate::report::{Figures, grouped};

/// Google's quota of requests in a minute.
const QUOTA: u32 = 60_000;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 600.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = WIDTH - 30.0;

const STYLE: &str = "\
svg{font-family:system-ui,'Segoe UI','DejaVu Sans',sans-serif;font-size:14px}\
.back{fill:#fff}.text{fill:#1f2328}.soft{fill:#59636e}.title{font-size:18px;font-weight:600}\
.axis{stroke:#59636e;fill:none}.grid{stroke:#d1d9e0;fill:none}\
.minted{fill:#0969da}.outage{fill:#fff1d6}\
.quota{stroke:#cf222e;stroke-width:2;stroke-dasharray:8 5;fill:none}.quota-text{fill:#cf222e}\
.limit{stroke:#59636e;stroke-width:1.5;stroke-dasharray:2 4;fill:none}\
@media (prefers-color-scheme:dark){\
.back{fill:#0d1117}.text{fill:#f0f6fc}.soft{fill:#9198a1}.axis{stroke:#9198a1}.grid{stroke:#3d444d}\
.minted{fill:#4493f8}.outage{fill:#3a2d12}.quota{stroke:#f85149}.quota-text{fill:#f85149}\
.limit{stroke:#9198a1}}";

/// One of the two graphs, which show the same with different scales.
struct Panel {
    top: f64,
    bottom: f64,
    most: u32,
    step: u32,
}

const WHOLE: Panel = Panel { top: 86.0, bottom: 336.0, most: 66_000, step: 20_000 };
const ENLARGED: Panel = Panel { top: 410.0, bottom: 550.0, most: 6_000, step: 2_000 };

pub(crate) fn svg(plan: &Plan, day: &Day) -> String {
    let figures = Figures::new(plan, day);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>Requests for tokens in each minute of a simulated day</title><style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let identities = grouped(plan.identities as u64);
    let title = format!("Requests for tokens in each minute of a simulated day: {identities} identities");
    text(&mut svg, "text title", (LEFT - 60.0, 32.0), "start", &title);
    text(&mut svg, "soft", (LEFT - 60.0, 60.0), "start", "requests a minute");
    WHOLE.draw(&mut svg, plan, day);
    limits(&mut svg, plan);
    let (start, outage) = (0.02, plan.outage.end.as_secs_f64() / 3600.0);
    let label = |svg: &mut String, hour: f64, lines: [String; 2]| {
        for (line, y) in lines.iter().zip([33_000, 27_000]) {
            text(svg, "text", (x(plan, hour) + 14.0, WHOLE.y(y)), "start", line);
        }
    };
    let peak = |figure: u32| format!("{} in the busiest minute", grouped(figure.into()));
    label(&mut svg, start, ["mass start:".to_owned(), peak(figures.start)]);
    label(&mut svg, outage, ["after the outage:".to_owned(), peak(figures.after_outage)]);

    let enlarged = format!(
        "the same, enlarged: {} a minute on average before the outage, {} at most in the second generation",
        grouped(figures.steady.into()),
        grouped(figures.second_generation.into())
    );
    text(&mut svg, "soft", (LEFT - 60.0, ENLARGED.top - 16.0), "start", &enlarged);
    ENLARGED.draw(&mut svg, plan, day);
    text(&mut svg, "soft", (RIGHT, HEIGHT - 8.0), "end", "time of day; the outage of IAM is shaded");
    svg.push_str("</svg>\n");
    svg
}

/// Draws the quota and the pool's limit, with their names above them, where no curve is.
fn limits(svg: &mut String, plan: &Plan) {
    let mut limit = |class: &str, text_class: &str, value: u32, name: &str| {
        let y = WHOLE.y(value);
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        let named = format!("{name}: {} a minute", grouped(value.into()));
        text(svg, text_class, (RIGHT - 8.0, y - 8.0), "end", &named);
    };
    limit("quota", "quota-text", QUOTA, "Google's quota");
    let of_pool = plan.max_fetches_per_minute;
    if (1..QUOTA).contains(&of_pool) {
        limit("limit", "soft", of_pool, "the pool's limit");
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, plan: &Plan, day: &Day) {
        let hours = |time: std::time::Duration| time.as_secs_f64() / 3600.0;
        let (from, to) = (x(plan, hours(plan.outage.start)), x(plan, hours(plan.outage.end)));
        let (top, bottom) = (self.top, self.bottom);
        let _ = writeln!(
            svg,
            "<rect class=\"outage\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\"/>",
            (to - from).max(1.0),
            bottom - top
        );
        for value in (0..=self.most).step_by(self.step as usize) {
            let y = self.y(value);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
            text(svg, "soft", (LEFT - 8.0, y + 5.0), "end", &grouped(value.into()));
        }
        let mut area = format!("M{LEFT} {bottom}");
        for (minute, count) in day.requests.minutes().enumerate() {
            let (from, to) = (x(plan, minute as f64 / 60.0), x(plan, (minute + 1) as f64 / 60.0));
            let _ = write!(area, "L{from:.2} {y:.1}H{:.2}", to.min(RIGHT), y = self.y(count));
        }
        let _ = writeln!(svg, "<path class=\"minted\" d=\"{area}V{bottom}Z\"/>");
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {top}V{bottom}H{RIGHT}\"/>");
        let length = hours(plan.length);
        for hour in (0..=length as u32).step_by(3) {
            let name = format!("{hour}:00");
            text(svg, "soft", (x(plan, hour.into()), bottom + 20.0), "middle", &name);
        }
    }

    /// The height of a value. What is above the top is cut off.
    fn y(&self, value: u32) -> f64 {
        let share = f64::from(value.min(self.most)) / f64::from(self.most);
        self.bottom - share * (self.bottom - self.top)
    }
}

fn x(plan: &Plan, hour: f64) -> f64 {
    LEFT + hour * 3600.0 / plan.length.as_secs_f64() * (RIGHT - LEFT)
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
