title Direct replication: whoever publishes goes on publishing
# The publisher puts the same record again and again. Copies that have been lost come back with
# the next put, and nobody else has to do anything.

nodes 6
replicas 3
put Ada weather "rain" ttl 3s
expect copies weather 3
wait 1s
put Ada weather "rain" ttl 3s
expect status ok_unchanged
# It was there already: only its time begins again. Now one of the three fails.

who weather
crash Cleo
show copies weather
expect copies weather 2
wait 1s
put Ada weather "rain" ttl 3s
expect copies weather 3
get Dan weather
expect value "rain"

# Ada stops. The record ends with its time to live, and nobody has to clean up.
crash Ada
wait 3s
get Dan weather
expect nothing
expect copies weather 0
