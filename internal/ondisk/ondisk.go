// Package ondisk is what the files that outlive a process need of the system: a lock, and a name that lasts.
package ondisk
