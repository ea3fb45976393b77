/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "config/loader.h"

/* The load, read downward. `loader` knows the file's name, `source` its bytes. */
static int load_source(
	struct config_loader *loader, struct config_source *source, struct config **out)
{
	const struct config_tree *tree = NULL;
	struct config *config;
	int rc;

	loader->arena = config_arena_new();
	if (loader->arena == NULL)
		return config_no_memory(loader);
	config = config_arena_alloc(loader->arena, sizeof(*config));
	rc = config == NULL ? config_no_memory(loader) : config_parse(loader, source, &tree);
	if (rc == 0) {
		loader->tree = tree;
		rc = config_decode(loader, tree, config);
	}
	if (rc == 0)
		rc = config_check(loader, config);
	if (rc != 0) {
		config_arena_free(loader->arena);
		return rc;
	}
	config->tree = tree;
	config->arena = loader->arena;
	*out = config;
	return 0;
}

static struct config_loader loader_for(
	const char *file, struct config_error *err, struct config_error *spare)
{
	struct config_loader loader = {.file = file, .err = err != NULL ? err : spare};

	memset(loader.err, 0, sizeof(*loader.err));
	return loader;
}

int config_load(const char *path, struct config **out, struct config_error *err)
{
	struct config_error spare;
	struct config_loader loader = loader_for(path, err, &spare);
	struct config_source source;
	int rc = config_source_open(&loader, path, &source);

	if (rc != 0)
		return rc;
	rc = load_source(&loader, &source, out);
	close(source.fd);
	return rc;
}

int config_load_text(const char *text, size_t len_bytes, const char *name, struct config **out,
	struct config_error *err)
{
	struct config_error spare;
	struct config_loader loader = loader_for(name != NULL ? name : "text", err, &spare);
	struct config_source source = {.fd = -1, .text = text, .len_bytes = len_bytes};

	return load_source(&loader, &source, out);
}

void config_free(struct config *config)
{
	if (config != NULL)
		config_arena_free(config->arena);
}
