// SPDX-License-Identifier: GPL-2.0
/*
 * Register device-private memory and do nothing with it: what does that take? The
 * answers are read-only parameters.
 */

#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/timex.h>

static unsigned long gib = 1;
module_param(gib, ulong, 0444);
MODULE_PARM_DESC(gib, "Device memory to register, in GiB");

static int error;
module_param(error, int, 0444);
MODULE_PARM_DESC(error, "0, or the error that registration has given");

static unsigned long instructions;
module_param(instructions, ulong, 0444);
MODULE_PARM_DESC(instructions, "What registration has taken, under -icount");

static long ram;
module_param(ram, long, 0444);
MODULE_PARM_DESC(ram, "RAM that registration has taken, in pages");

static void registration_folio_free(struct folio *folio)
{
}

static vm_fault_t registration_migrate_to_ram(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const struct dev_pagemap_ops registration_ops = {
	.folio_free = registration_folio_free,
	.migrate_to_ram = registration_migrate_to_ram,
};

static struct dev_pagemap registration_pgmap = {
	.type = MEMORY_DEVICE_PRIVATE,
	.ops = &registration_ops,
	.owner = &registration_pgmap,
};

#ifdef REGISTER_BY_OFFSET
static int registration_register(struct dev_pagemap *pgmap)
{
	pgmap->nr_pages = gib << (30 - PAGE_SHIFT);
	return memremap_device_private_pagemap(pgmap, NUMA_NO_NODE);
}

static void registration_unregister(struct dev_pagemap *pgmap)
{
	memunmap_device_private_pagemap(pgmap);
}
#else
static int registration_register(struct dev_pagemap *pgmap)
{
	struct resource *res;
	void *addr;

	res = request_free_mem_region(&iomem_resource, gib << 30, KBUILD_MODNAME);
	if (IS_ERR(res))
		return PTR_ERR(res);

	pgmap->range.start = res->start;
	pgmap->range.end = res->end;
	pgmap->nr_range = 1;
	addr = memremap_pages(pgmap, numa_mem_id());
	if (IS_ERR(addr)) {
		release_mem_region(res->start, resource_size(res));
		return PTR_ERR(addr);
	}
	return 0;
}

static void registration_unregister(struct dev_pagemap *pgmap)
{
	memunmap_pages(pgmap);
	release_mem_region(pgmap->range.start, range_len(&pgmap->range));
}
#endif

static unsigned long registration_free_ram(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return info.freeram;
}

static int __init registration_init(void)
{
	unsigned long before = registration_free_ram();
	cycles_t start = get_cycles();

	error = registration_register(&registration_pgmap);
	instructions = get_cycles() - start;
	ram = before - registration_free_ram();
	return 0;
}
module_init(registration_init);

static void __exit registration_exit(void)
{
	if (!error)
		registration_unregister(&registration_pgmap);
}
module_exit(registration_exit);

MODULE_DESCRIPTION("What registering device-private memory takes");
MODULE_LICENSE("GPL");
