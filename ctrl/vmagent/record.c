/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define RECORD_VERSION 1

bool record_name_valid(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("-_.", name[i]) == NULL)
			return false;
	return i > 0 && i < HANDOVER_ID_MAX && name[0] != '.';
}

static int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err = 0;
	ssize_t len = strlen(text), put;

	if (fd < 0)
		return -errno;
	put = write(fd, text, len);
	if (put != len)
		err = put < 0 ? -errno : -ENOSPC;
	else if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static char *record_text(const struct record *record)
{
	json_t *root = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:I, s:i, s:I, s:s}", "version",
		RECORD_VERSION, "id", record->id, "vm", record->vm, "peer", record->peer, "side",
		record->side == HANDOVER_SOURCE ? "source" : "destination", "mark",
		handover_mark_name(record->mark), "was_running", (int)record->was_running, "ended",
		(int)record->ended, "qemu_pid", (int)record->qemu_pid, "qemu_start",
		(json_int_t)record->qemu_start, "multifd_channels", (int)record->multifd_channels,
		"saved_at_s", (json_int_t)record->saved_at_s, "reason", record->reason);
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;

	json_decref(root);
	return text;
}

int record_save(const char *directory, struct record *record)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	char *text;
	int err;

	record->saved_at_s = time(NULL);
	text = record_text(record);
	if (text == NULL)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/%s.move", directory, record->id);
	snprintf(fresh, sizeof(fresh), "%s/.%s.new", directory, record->id);
	err = write_file(fresh, text);
	free(text);
	if (err == 0 && rename(fresh, path))
		err = -errno;
	if (err) {
		unlink(fresh);
		return err;
	}
	return sync_directory(directory);
}

static void take_text(json_t *root, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(root, key));

	snprintf(text, size, "%s", value ? value : "");
}

static int record_read(const char *path, struct record *record)
{
	json_t *root = json_load_file(path, 0, NULL);
	json_int_t version = json_integer_value(json_object_get(root, "version"));
	char side[16], mark[16];

	if (root == NULL)
		return access(path, F_OK) ? -ENOENT : -EPROTO;
	if (version < 1 || version > RECORD_VERSION) {
		json_decref(root);
		return -EPROTO;
	}
	*record = (struct record){0};
	take_text(root, "id", record->id, sizeof(record->id));
	take_text(root, "vm", record->vm, sizeof(record->vm));
	take_text(root, "peer", record->peer, sizeof(record->peer));
	take_text(root, "side", side, sizeof(side));
	take_text(root, "mark", mark, sizeof(mark));
	take_text(root, "reason", record->reason, sizeof(record->reason));
	record->side = strcmp(side, "source") == 0 ? HANDOVER_SOURCE : HANDOVER_DEST;
	record->mark = handover_mark_parse(mark);
	record->was_running = json_is_true(json_object_get(root, "was_running"));
	record->ended = json_is_true(json_object_get(root, "ended"));
	record->qemu_pid = json_integer_value(json_object_get(root, "qemu_pid"));
	record->qemu_start = json_integer_value(json_object_get(root, "qemu_start"));
	record->multifd_channels = json_integer_value(json_object_get(root, "multifd_channels"));
	record->saved_at_s = json_integer_value(json_object_get(root, "saved_at_s"));
	json_decref(root);
	return record_name_valid(record->id) && record->mark != MARK_SILENT ? 0 : -EPROTO;
}

int record_load(const char *directory, const char *id, struct record *record)
{
	char path[PATH_MAX];

	if (!record_name_valid(id))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%s.move", directory, id);
	return record_read(path, record);
}

int record_remove(const char *directory, const char *id)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.report", directory, id);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s.move", directory, id);
	return unlink(path) ? -errno : sync_directory(directory);
}

int record_report_save(const char *directory, const char *id, json_t *report)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.report", directory, id);
	return json_dump_file(report, path, JSON_INDENT(1)) ? -EIO : 0;
}

json_t *record_report_load(const char *directory, const char *id)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.report", directory, id);
	return json_load_file(path, 0, NULL);
}

int record_claim(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int record_each(const char *directory,
	void (*each)(void *ctx, const char *id, const struct record *record), void *ctx)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	struct record record;
	char path[PATH_MAX];
	char *tail;
	int err;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		tail = strrchr(entry->d_name, '.');
		if (entry->d_name[0] == '.' || tail == NULL || strcmp(tail, ".move") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		err = record_read(path, &record);
		*tail = '\0';
		each(ctx, entry->d_name, err ? NULL : &record);
	}
	closedir(dir);
	return 0;
}

uint64_t record_process_start(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], line[1024];
	const char *after;
	char state = 'X';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	/* the command name in brackets may hold anything; the 22nd field counts from behind it */
	if (fgets(line, sizeof(line), file) != NULL && (after = strrchr(line, ')')) != NULL &&
		sscanf(after,
			") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			"%*d %*d %llu",
			&state, &start) != 2)
		start = 0;
	fclose(file);
	return state == 'Z' || state == 'X' ? 0 : start;
}
