package server

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shoal-p2p/shoal/p2p/folder"
	"github.com/shoal-p2p/shoal/p2p/folder/replica"
	"github.com/shoal-p2p/shoal/p2p/node"
)

// metrics are the counters of one server, in a registry of their own: several
// servers may run in one process.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	searches prometheus.Histogram
}

func newMetrics(version string) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_http_requests_total", Help: "HTTP requests, by route of the API and status; route none: no route fits.",
		}, []string{"route", "code"}),
		searches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "shoal_search_seconds", Help: "Time until a search was answered completely.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 13), // 1 ms to 4 s
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "shoal_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry = prometheus.NewRegistry()
	m.registry.MustRegister(build, m.requests, m.searches,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true})
	return m
}

// attach adds what the node itself counts.
func (m *metrics) attach(n *node.Node) error { return m.registry.Register(nodeCollector{n}) }

// request counts one request.
func (m *metrics) request(route string, status int) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
}

// searched records how long a search took.
func (m *metrics) searched(d time.Duration) { m.searches.Observe(d.Seconds()) }

// serveMetrics answers in the Prometheus text format.
func (a *nodeAPI) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	a.metrics.handler.ServeHTTP(w, r)
	return nil
}

// nodeCollector reads a node's own figures when somebody asks for them.
type nodeCollector struct{ node *node.Node }

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descMembers   = describeMetric("shoal_members", "Members of the network, this node included.")
	descPeers     = describeMetric("shoal_peers_linked", "Members linked now.")
	descReceived  = describeMetric("shoal_received_bytes_total", "Datagram payload received from members.")
	descSent      = describeMetric("shoal_sent_bytes_total", "Datagram payload sent to members.")
	descDocuments = describeMetric("shoal_documents", "Files and documents that this node can find.")
	descTerms     = describeMetric("shoal_terms", "Different words in them.")
	descFolders   = describeMetric("shoal_folders", "Folders shared here.")
	descFiles     = describeMetric("shoal_files", "Files in the folders shared here.")
	descEvents    = describeMetric("shoal_events_total", "Events since the node started.")

	descNeedFiles = describeMetric("shoal_folder_need_files", "Files of a folder that are not yet here as they should be.", "folder", "label")
	descNeedBytes = describeMetric("shoal_folder_need_bytes", "Bytes to come for them.", "folder", "label")
	descConflicts = describeMetric("shoal_folder_conflicts", "Conflicts of a folder that wait for a person.", "folder", "label")
	descHeld      = describeMetric("shoal_folder_held", "Whether changes of a folder wait for a person to let them through: 1, otherwise 0.", "folder", "label")
	descTransfers = describeMetric("shoal_transfers", "Files on their way to this node, by state.", "state")
)

// Describe implements prometheus.Collector.
func (c nodeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descMembers, descPeers, descReceived, descSent, descDocuments, descTerms, descFolders, descFiles, descEvents,
		descNeedFiles, descNeedBytes, descConflicts, descHeld, descTransfers,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	counter := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	s := c.node.Status()
	gauge(descMembers, float64(s.Members))
	gauge(descPeers, float64(s.Peers))
	gauge(descDocuments, float64(s.Documents))
	gauge(descTerms, float64(s.Terms))
	gauge(descFolders, float64(s.Folders))
	var in, out, files float64
	for _, p := range c.node.Peers() {
		in += float64(p.Stats.BytesIn)
		out += float64(p.Stats.BytesOut)
	}
	for _, f := range c.node.Folders() {
		if !f.Offered {
			files += float64(f.Files)
			collectFolder(ch, f)
		}
	}
	collectTransfers(ch, c.node.Transfers())
	counter(descReceived, in)
	counter(descSent, out)
	gauge(descFiles, files)
	_, seq, _ := strings.Cut(c.node.Events().Position(), ".")
	if n, err := strconv.ParseFloat(seq, 64); err == nil {
		counter(descEvents, n)
	}
}

// collectFolder tells how far a folder is. Two folders may have one label, never one ID.
func collectFolder(ch chan<- prometheus.Metric, f node.Folder) {
	held := 0
	if f.State == folder.StateHeld {
		held = 1
	}
	for d, v := range map[*prometheus.Desc]float64{
		descNeedFiles: float64(f.NeedFiles), descNeedBytes: float64(f.NeedBytes), descConflicts: float64(f.Conflicts), descHeld: float64(held),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, f.ID, f.Label)
	}
}

// collectTransfers counts those that have not ended: of the others only some are remembered.
func collectTransfers(ch chan<- prometheus.Metric, transfers []replica.Transfer) {
	number := map[replica.TransferState]int{}
	for _, t := range transfers {
		number[t.State]++
	}
	for _, s := range []replica.TransferState{replica.TransferRunning, replica.TransferWaiting} {
		ch <- prometheus.MustNewConstMetric(descTransfers, prometheus.GaugeValue, float64(number[s]), string(s))
	}
}
