# Draws the report of a load test as four plots below each other: load, latency, CPU, replicas. $delays has the seconds of
# each decision to have one more replica, and of the first answer of one more.
def width: 720; def left: 64; def height: 110; def gap: 52; def top: 34;
def number: . * 10 | round / 10;
# nice is a round number at or above.
def nice: if . <= 0 then 1 else . as $v | pow(10; ($v | log10 | floor)) as $p | first((1, 2, 2.5, 5, 10) * $p | select(. >= $v)) end;
def line($xs; $ys; $max; $last; $y0; $color; $step):
  [range($xs | length) | . as $i | select($ys[$i] != null) |
    (left + width * $xs[$i] / $last | number) as $x | ($y0 + height * (1 - $ys[$i] / $max) | number) as $y |
    if $step and $i > 0 and $ys[$i - 1] != null then "\($x),\($y0 + height * (1 - $ys[$i - 1] / $max) | number)" else empty end, "\($x),\($y)"] |
  "<polyline fill=\"none\" stroke=\"\($color)\" stroke-width=\"1.5\" points=\"\(join(" "))\"/>";
def text($x; $y; $anchor; $color; $size): "<text x=\"\($x | number)\" y=\"\($y | number)\" text-anchor=\"\($anchor)\" fill=\"\($color)\" font-size=\"\($size)\">\(.)</text>";
def panel($index; $title; $last; $step):
  # Takes a list of {name, color, xs, ys}.
  (top + $index * (height + gap)) as $y0 | ([.[].ys[] | select(. != null)] | max | nice) as $max |
  ($title | text(left; $y0 - 8; "start"; "#222"; 13)),
  (range(3) | (. / 2) as $share | ($y0 + height * (1 - $share) | number) as $y |
    "<line x1=\"\(left)\" x2=\"\(left + width)\" y1=\"\($y)\" y2=\"\($y)\" stroke=\"#ddd\"/>",
    ($max * $share | number | tostring | text(left - 6; $y + 4; "end"; "#555"; 11))),
  (range(0; $last; 30) | . as $s | "\($s) s" | text(left + width * $s / $last; $y0 + height + 15; "middle"; "#555"; 11)),
  (to_entries[] | .key as $i | .value as $s | ($s.name | text(left + width - 130 * $i; $y0 - 8; "end"; $s.color; 12)),
    line($s.xs; $s.ys; $max; $last; $y0; $s.color; $step));
def mark($at; $last; $bottom; $name; $row):
  (left + width * $at / $last | number) as $x |
  "<line x1=\"\($x)\" x2=\"\($x)\" y1=\"\(top - 4)\" y2=\"\($bottom)\" stroke=\"#b00\" stroke-dasharray=\"3 3\"/>",
  ($name | text($x + 4; $bottom - 24 + 14 * $row; "start"; "#b00"; 11));

(.points[-1].at_seconds + .points[-1].duration_seconds) as $last | (top + 4 * (height + gap)) as $bottom |
(.points | map(.at_seconds)) as $xs | (.replicas // [] | map(.at_seconds)) as $rs | $delays[0] as $d |
"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(left + width + 24) \($bottom)\" font-family=\"sans-serif\">",
"<title>The autoscaler from 2 replicas to 5 and back</title>",
"<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
([{name: "asked", color: "#888", xs: $xs, ys: (.points | map(.asked_rate))}, {name: "answered rightly", color: "#06c", xs: $xs, ys: (.points | map(.right_rate))}] |
  panel(0; "Requests a second"; $last; false)),
([{name: "99th percentile", color: "#c60", xs: $xs, ys: (.points | map(.p99_seconds * 1000))}, {name: "median", color: "#06c", xs: $xs, ys: (.points | map(.p50_seconds * 1000))}] |
  panel(1; "Latency from when a request was due, ms"; $last; false)),
([{name: "of what the replicas request", color: "#083", xs: $rs, ys: (.replicas // [] | map(.cpu_percent))}] | panel(2; "CPU that the autoscaler sees, %"; $last; true)),
([{name: "wanted", color: "#888", xs: $rs, ys: (.replicas // [] | map(.desired))}, {name: "there", color: "#06c", xs: $rs, ys: (.replicas // [] | map(.current))}] |
  panel(3; "Replicas"; $last; true)),
mark($d[0].decision; $last; $bottom - gap; "more are wanted"; 0),
mark($d[0].answer; $last; $bottom - gap; "first answer of a new one"; 1),
"</svg>"
