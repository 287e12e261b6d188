"""The dashboard for Grafana is laid out and explained; what it shows is tested by tests/system."""

import json
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy/grafana/reeve.json"
RULES = ROOT / "deploy/prometheus/reeve-alerts.yml"
COLUMNS = 24
# Of Grafana's units those that are used; a counted one names what is counted.
UNITS = re.compile(r"none|short|s|bytes|percentunit|"
                   r"count:(tasks|attempts|commits|requests|messages|registrations|heartbeats)/s")
ROWS = ["Overview", "Queues", "Throughput", "Latency", "Failures", "Workers", "Store",
        "Connections and messages", "Worker processes"]
JOBS = ('job="reeve",instance=~"$instance"', 'job="reeve-worker",instance=~"$worker"')


def cells(panel):
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])}


def unit(panel):
    """A heat map's is that of its axis."""
    if panel["type"] == "heatmap":
        return panel["options"]["yAxis"]["unit"]
    return panel["fieldConfig"]["defaults"]["unit"]


def rules():
    """Alert to its expression."""
    return dict(re.findall(r"- alert: (\w+)\n +expr: (.*?)\n +(?:for|labels):", RULES.read_text(),
                           re.DOTALL))


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.text = DASHBOARD.read_text(encoding="utf-8")
        self.dashboard = json.loads(self.text)
        self.all = self.dashboard["panels"]
        self.panels = [panel for panel in self.all if panel["type"] != "row"]
        self.assertGreater(len(self.panels), 30)

    def test_the_file_is_formatted_so_that_a_change_is_a_line(self):
        """Sorted as Grafana exports it: what was changed there can be compared, and taken over."""
        formatted = json.dumps(self.dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        if self.text != formatted:
            tool = "python3 -m json.tool --indent 2 --sort-keys --no-ensure-ascii"
            self.fail(f"format it: {tool} {DASHBOARD.name}")

    def test_no_two_panels_overlap_and_all_are_within_the_grid(self):
        taken = {}
        for panel in self.all:
            for x, y in cells(panel):
                self.assertIn(x, range(COLUMNS), panel["title"])
                other = taken.setdefault((x, y), panel["title"])
                self.assertIs(other, panel["title"], "these overlap")

    def test_each_row_has_its_panels_below_it_and_no_holes(self):
        """A row without panels would take in those of the next one when it is folded up."""
        self.assertEqual([p["title"] for p in self.all if p["type"] == "row"], ROWS)
        order = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in self.all]
        self.assertEqual(order, sorted(order))
        for panel, following in zip(self.all, self.all[1:]):
            if panel["type"] == "row":
                self.assertEqual((panel["gridPos"]["w"], panel["panels"]), (COLUMNS, []))
                self.assertNotEqual(following["type"], "row")
        bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in self.all)
        self.assertEqual(sum(len(cells(panel)) for panel in self.all), COLUMNS * bottom)

    def test_ids_are_unique(self):
        ids = [panel["id"] for panel in self.all]
        self.assertEqual(sorted(ids), sorted(set(ids)))
        for panel in self.panels:
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(refs, sorted(set(refs)), panel["title"])

    def test_each_panel_has_title_description_unit_and_queries(self):
        for panel in self.panels:
            with self.subTest(panel["title"]):
                self.assertRegex(panel["title"], r"^[A-Z]")
                self.assertRegex(panel["description"], r"^[A-Z0-9].*\.$")
                self.assertTrue(UNITS.fullmatch(unit(panel)), unit(panel))
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                self.assertTrue(panel["targets"])

    def test_each_line_of_a_graph_is_named(self):
        for panel in self.panels:
            if panel["type"] in ("timeseries", "heatmap"):
                for target in panel["targets"]:
                    self.assertTrue(target["legendFormat"], panel["title"])

    def test_what_is_said_of_alerts_is_true(self):
        """Alerts that are named exist; a line for one is drawn where it fires."""
        alerts, drawn = rules(), 0
        for panel in self.panels:
            for name in re.findall(r"\bReeve\w+", panel["description"]):
                self.assertIn(name, alerts, panel["title"])
            line = re.search(r"The line is where (\w+) fires", panel["description"])
            style = panel["fieldConfig"]["defaults"].get("custom", {}).get("thresholdsStyle")
            self.assertEqual(bool(line), style is not None, panel["title"])
            if line:
                (_, step) = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                self.assertRegex(alerts[line[1]], rf"[<>] {step['value']}$", panel["title"])
                drawn += 1
        self.assertGreaterEqual(drawn, 3)

    def test_a_table_styles_columns_that_it_has(self):
        for panel in self.panels:
            if panel["type"] != "table":
                continue
            columns = panel["transformations"][-1]["options"]["renameByName"].values()
            for override in panel["fieldConfig"]["overrides"]:
                self.assertIn(override["matcher"]["options"], columns, panel["title"])
            self.assertIn(panel["options"]["sortBy"][0]["displayName"], columns)

    def test_the_variables(self):
        variables = {v["name"]: v for v in self.dashboard["templating"]["list"]}
        self.assertEqual(list(variables), ["datasource", "instance", "worker", "queue", "task"])
        self.assertEqual(variables.pop("datasource")["query"], "prometheus")
        for variable in variables.values():
            self.assertEqual(variable["datasource"]["uid"], "${datasource}")
            self.assertTrue(variable["multi"] and variable["includeAll"], variable["name"])

    def test_each_query_is_about_what_is_chosen(self):
        for panel in self.panels:
            for target in panel["targets"]:
                for selector in re.findall(r"{(.*?)}", target["expr"]):
                    if "alertname" in selector:
                        continue
                    self.assertTrue(selector.startswith(JOBS), f"{panel['title']}: {selector}")
                by_queue = re.search(r"by \([^)]*queue", target["expr"])
                if by_queue:
                    self.assertIn('queue=~"$queue"', target["expr"], panel["title"])


unittest.main()
